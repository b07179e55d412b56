"""Which type each tensor of a quantised file gets: as llama.cpp's own command chooses, without importance matrix.

The package xllamacpp has llama.cpp's quantiser of one tensor and not its command for a whole file, so that the
choice is made here.

Source: llama.cpp, ``src/llama-quant.cpp``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evop.export.gguf.ggml import library

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType


@dataclass(frozen=True)
class Mix:
    """Which types a file is made of, by their names.

    Attributes:
        most: of most matrices.
        more: of values and of the MLPs' last projections, in the layers that need more bits.
        fused: of queries, keys and values in one matrix.
        file: what the file calls itself.
    """

    most: str
    more: str
    fused: str
    file: str


MIXES = {
    "q4_k_m": Mix("Q4_K", "Q6_K", "Q5_K", "MOSTLY_Q4_K_M"),
    "q5_k_m": Mix("Q5_K", "Q6_K", "Q6_K", "MOSTLY_Q5_K_M"),
    "q6_k": Mix("Q6_K", "Q6_K", "Q6_K", "MOSTLY_Q6_K"),
}
"""What ``--quantise`` may be."""
INSTEAD = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What a type of blocks of 256 becomes where a row is no multiple of that."""
_LAYER = re.compile(r"blk\.(\d+)\.(attn_v|ffn_down)\.weight")


def mixed_types(shapes: dict[str, tuple[int, ...]], name: str) -> dict[str, GGMLQuantizationType]:
    """Choose the type of every tensor of a file.

    Args:
        shapes: name of each tensor -> its shape.
        name: one of ``MIXES``.

    Returns:
        Name of each tensor -> its type.
    """
    mix, types = MIXES[name], library().GGMLQuantizationType
    layers = {
        part: sorted(int(m[1]) for m in map(_LAYER.fullmatch, shapes) if m and m[2] == part)
        for part in ("attn_v", "ffn_down")
    }
    chosen = {}
    for tensor, shape in shapes.items():
        if len(shape) == 1:
            chosen[tensor] = types.F32
            continue
        kind = _wanted(tensor, mix, layers, tied="output.weight" not in shapes)
        chosen[tensor] = types[_fitting(kind, shape[-1])]
    return chosen


def _wanted(tensor: str, mix: Mix, layers: dict[str, list[int]], tied: bool) -> str:
    """Choose a type by what a tensor is for."""
    if tensor == "output.weight" or (tied and tensor == "token_embd.weight"):
        return "Q6_K"
    if tensor.endswith("attn_qkv.weight"):
        return mix.fused
    if found := _LAYER.fullmatch(tensor):
        of_kind = layers[found[2]]
        return mix.more if _needs_more(of_kind.index(int(found[1])), len(of_kind)) else mix.most
    return mix.most


def _needs_more(place: int, count: int) -> bool:
    """Tell whether a layer needs more bits: the first and last eighth, and every third between."""
    return place < count // 8 or place >= 7 * count // 8 or (place - count // 8) % 3 == 2


def _fitting(kind: str, columns: int) -> str:
    if columns % 256 == 0:
        return kind
    return INSTEAD[kind] if columns % 32 == 0 else "F16"
