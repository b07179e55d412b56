"""Llama and those that name their parts as it does."""

from evop.families.family import Block, Family, Sliced

LLAMA = Family(
    model_types=("llama", "mistral", "qwen2", "qwen3"),
    layers="model.layers",
    attn=Block(
        "self_attn",
        norms=("input_layernorm",),
        returns=2,
        out="self_attn.o_proj",
        slices=(
            Sliced("self_attn.q_proj", 0),
            Sliced("self_attn.k_proj", 0),
            Sliced("self_attn.v_proj", 0),
            Sliced("self_attn.o_proj", 1, bias=False),
        ),
    ),
    mlp=Block(
        "mlp",
        norms=("post_attention_layernorm",),
        out="mlp.down_proj",
        slices=(Sliced("mlp.gate_proj", 0), Sliced("mlp.up_proj", 0), Sliced("mlp.down_proj", 1, bias=False)),
    ),
)
