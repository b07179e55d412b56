"""BitNet with plain linear layers: a norm over all heads and one over all channels, inside the blocks."""

from evop.model.families.family import Block, Family, Refusal

SUB_NORMS = Refusal(
    "a norm goes over all heads and one over all channels (attn_sub_norm, ffn_sub_norm), so a unit less changes the "
    "others; use --grain subblock or layer",
    grains=("head", "channel", "mixed"),
)

BITNET = Family(
    model_types=("bitnet",),
    layers="model.layers",
    attn=Block("self_attn", norms=("input_layernorm",), adds="self_attn", out="self_attn.o_proj", returns=2),
    mlp=Block("mlp", norms=("post_attention_layernorm",), adds="mlp", out="mlp.down_proj"),
    refusals=(SUB_NORMS,),
)
