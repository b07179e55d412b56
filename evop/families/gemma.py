"""Gemma 2 and 3 (text): norms before and after each block, sliding and full attention in turn."""

from evop.families.family import Block, Family
from evop.families.projections import CHANNELS, HEADS

GEMMA = Family(
    model_types=("gemma2", "gemma3_text"),
    layers="model.layers",
    attn=Block(
        "self_attn",
        norms=("input_layernorm", "post_attention_layernorm"),
        adds="post_attention_layernorm",
        out="self_attn.o_proj",
        returns=2,
        slices=HEADS,
    ),
    mlp=Block(
        "mlp",
        norms=("pre_feedforward_layernorm", "post_feedforward_layernorm"),
        adds="post_feedforward_layernorm",
        out="mlp.down_proj",
        slices=CHANNELS,
    ),
)
