"""GPT-2: learned positions, weights stored the other way round (``Conv1D``)."""

from evop.families.family import Block, Family, Sliced

GPT2 = Family(
    model_types=("gpt2",),
    layers="transformer.h",
    attn=Block(
        "attn",
        norms=("ln_1",),
        adds="attn",
        out="attn.c_proj",
        returns=2,
        slices=(
            Sliced("attn.c_attn", 1, segments=("query", "key", "value")),
            Sliced("attn.c_proj", 0, bias=False),
        ),
        scaled=("num_heads", "split_size"),
    ),
    mlp=Block(
        "mlp",
        norms=("ln_2",),
        adds="mlp",
        out="mlp.c_proj",
        slices=(Sliced("mlp.c_fc", 1), Sliced("mlp.c_proj", 0, bias=False)),
    ),
    width="n_inner",
)
