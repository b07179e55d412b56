"""Llama and those that name their parts as it does."""

from evop.families.family import Block, Family

LLAMA = Family(
    model_types=("llama", "mistral", "qwen2", "qwen3"),
    layers="model.layers",
    attn=Block("self_attn", norms=("input_layernorm",), returns=2),
    mlp=Block("mlp", norms=("post_attention_layernorm",)),
)
