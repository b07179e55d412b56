"""BitNet with plain linear layers: a norm over all heads and one over all channels, inside the blocks."""

from evop.families.family import Block, Family

BITNET = Family(
    model_types=("bitnet",),
    layers="model.layers",
    attn=Block("self_attn", norms=("input_layernorm",), adds="self_attn", out="self_attn.o_proj", returns=2),
    mlp=Block("mlp", norms=("post_attention_layernorm",), adds="mlp", out="mlp.down_proj"),
)
