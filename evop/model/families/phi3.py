"""Phi-3 and its successors of the same name: query, key and value in one projection, gate and up in another."""

from evop.model.families.family import Block, Family, Sliced

PHI3 = Family(
    model_types=("phi3",),
    layers="model.layers",
    attn=Block(
        "self_attn",
        norms=("input_layernorm",),
        adds="self_attn",
        out="self_attn.o_proj",
        returns=2,
        slices=(
            Sliced("self_attn.qkv_proj", 0, segments=("query", "key", "value")),
            Sliced("self_attn.o_proj", 1, bias=False),
        ),
        scaled=("num_key_value_heads",),
    ),
    mlp=Block(
        "mlp",
        norms=("post_attention_layernorm",),
        adds="mlp",
        out="mlp.down_proj",
        slices=(Sliced("mlp.gate_up_proj", 0, segments=("gate", "up")), Sliced("mlp.down_proj", 1, bias=False)),
    ),
)
