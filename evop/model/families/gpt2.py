"""GPT-2: learned positions, weights stored the other way round (``Conv1D``)."""

from evop.model.families.family import GRAINS, Block, Family, Refusal, Sliced

SCALED_BY_PLACE = Refusal(
    "its attention divides by the number of its layer (scale_attn_by_inverse_layer_idx), which changes when layers "
    "before it leave; use --grain head or channel",
    grains=("layer", "subblock", "mixed"),
    when=lambda config: config.scale_attn_by_inverse_layer_idx,
)
CROSS_ATTENTION = Refusal(
    "it attends to an encoder (add_cross_attention); evop prunes language models that read their own text alone",
    grains=GRAINS,
    when=lambda config: config.add_cross_attention,
)

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
    refusals=(SCALED_BY_PLACE, CROSS_ATTENTION),
)
