"""OPT: the MLP's projections lie directly in the layer; opt-350m normalises after each block, not before."""

from evop.model.families.family import Block, Family, Sliced

OPT = Family(
    model_types=("opt",),
    layers="model.decoder.layers",
    attn=Block(
        "self_attn",
        norms=("self_attn_layer_norm",),
        adds="self_attn",
        out="self_attn.out_proj",
        returns=2,
        slices=(
            Sliced("self_attn.q_proj", 0),
            Sliced("self_attn.k_proj", 0),
            Sliced("self_attn.v_proj", 0),
            Sliced("self_attn.out_proj", 1, bias=False),
        ),
        scaled=("num_heads",),
    ),
    mlp=Block(
        "fc2",
        norms=("final_layer_norm", "fc1"),
        adds="fc2",
        out="fc2",
        slices=(Sliced("fc1", 0), Sliced("fc2", 1, bias=False)),
    ),
    width="ffn_dim",
)
