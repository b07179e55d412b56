"""Gemma 2 and 3 (text): norms before and after each block, sliding and full attention in turn."""

from evop.families.family import Block, Family

GEMMA = Family(
    model_types=("gemma2", "gemma3_text"),
    layers="model.layers",
    attn=Block("self_attn", norms=("input_layernorm", "post_attention_layernorm"), returns=2),
    mlp=Block("mlp", norms=("pre_feedforward_layernorm", "post_feedforward_layernorm")),
)
