"""OLMo 2: norms after each block, and one norm over all queries, one over all keys."""

from evop.families.family import Block, Family

OLMO2 = Family(
    model_types=("olmo2",),
    layers="model.layers",
    attn=Block("self_attn", norms=("post_attention_layernorm",), returns=2),
    mlp=Block("mlp", norms=("post_feedforward_layernorm",)),
)
