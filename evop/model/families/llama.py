"""Llama and those that name their parts as it does."""

from evop.model.families.family import Block, Family
from evop.model.families.projections import CHANNELS, HEADS

LLAMA = Family(
    model_types=("llama", "mistral", "qwen2", "qwen3"),
    layers="model.layers",
    attn=Block(
        "self_attn",
        norms=("input_layernorm",),
        adds="self_attn",
        out="self_attn.o_proj",
        returns=2,
        slices=HEADS,
    ),
    mlp=Block(
        "mlp",
        norms=("post_attention_layernorm",),
        adds="mlp",
        out="mlp.down_proj",
        slices=CHANNELS,
    ),
)
