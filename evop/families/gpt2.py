"""GPT-2: learned positions, weights stored the other way round (``Conv1D``)."""

from evop.families.family import Block, Family

GPT2 = Family(
    model_types=("gpt2",),
    layers="transformer.h",
    attn=Block("attn", norms=("ln_1",), returns=2),
    mlp=Block("mlp", norms=("ln_2",)),
)
