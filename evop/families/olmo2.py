"""OLMo 2: norms after each block, and one norm over all queries, one over all keys."""

from evop.families.family import Block, Family
from evop.families.projections import CHANNELS

OLMO2 = Family(
    model_types=("olmo2",),
    layers="model.layers",
    attn=Block(
        "self_attn",
        norms=("post_attention_layernorm",),
        adds="post_attention_layernorm",
        out="self_attn.o_proj",
        returns=2,
    ),
    mlp=Block(
        "mlp",
        norms=("post_feedforward_layernorm",),
        adds="post_feedforward_layernorm",
        out="mlp.down_proj",
        slices=CHANNELS,
    ),
)
