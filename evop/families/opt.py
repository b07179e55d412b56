"""OPT: the MLP's projections lie directly in the layer; opt-350m normalises after each block, not before."""

from evop.families.family import Block, Family

OPT = Family(
    model_types=("opt",),
    layers="model.decoder.layers",
    attn=Block("self_attn", norms=("self_attn_layer_norm",), returns=2),
    mlp=Block("fc2", norms=("final_layer_norm", "fc1")),
)
