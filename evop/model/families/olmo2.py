"""OLMo 2: norms after each block, and one norm over all queries, one over all keys."""

from evop.model.families.family import Block, Family, Refusal
from evop.model.families.projections import CHANNELS

JOINT_NORMS = Refusal(
    "one norm goes over all queries and one over all keys, so a head less changes the others; use --grain channel, "
    "subblock or layer",
    grains=("head", "mixed"),
)

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
    refusals=(JOINT_NORMS,),
)
