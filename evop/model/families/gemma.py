"""Gemma 2 and 3 (text): norms before and after each block, sliding and full attention in turn."""

from evop.model.families.family import GRAINS, Block, Family, Refusal
from evop.model.families.projections import CHANNELS, HEADS

BOTH_WAYS = Refusal(
    "it attends in both directions (use_bidirectional_attention), so it predicts no next token to be measured by",
    grains=GRAINS,
    when=lambda config: bool(config.use_bidirectional_attention),
)

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
    refusals=(BOTH_WAYS,),
)
