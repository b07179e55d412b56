"""Phi-3 and its successors of the same name: query, key and value in one projection, gate and up in another."""

from evop.families.family import Block, Family

PHI3 = Family(
    model_types=("phi3",),
    layers="model.layers",
    attn=Block("self_attn", norms=("input_layernorm",), returns=2),
    mlp=Block("mlp", norms=("post_attention_layernorm",)),
)
