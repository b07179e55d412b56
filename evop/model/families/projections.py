"""How projections named as Llama names them shrink; many architectures share the names."""

from evop.model.families.family import Sliced

HEADS = (
    Sliced("self_attn.q_proj", 0),
    Sliced("self_attn.k_proj", 0),
    Sliced("self_attn.v_proj", 0),
    Sliced("self_attn.o_proj", 1, bias=False),
)
CHANNELS = (
    Sliced("mlp.gate_proj", 0),
    Sliced("mlp.up_proj", 0),
    Sliced("mlp.down_proj", 1, bias=False),
)
