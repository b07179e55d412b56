"""``corrections.safetensors``: the biases and weights that belong to a pattern, beside its file.

A block's bias and the weight of its last projection are called ``layers.3.mlp.bias`` and ``layers.3.mlp.weight``; any
other matrix of it that is refitted too, or that has zeros, ``layers.3.mlp/mlp.up_proj``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evop.errors import EvopError, first_line
from evop.files.json_file import sha256
from evop.files.names import CORRECTIONS
from evop.files.tensors import write_tensors
from evop.removal.cut import Cut, Place, Weight, part_name, place_of

if TYPE_CHECKING:
    import torch

MATRIX = "/"
"""What stands between a block and one of its matrices in a tensor's name."""


def write_corrections(cut: Cut, path: Path) -> str:
    """Write the biases and weights of a cut, and return the file's sha256."""
    import torch

    tensors: dict[str, torch.Tensor] = {}
    for place in cut.changed:
        if place in cut.bias:
            tensors[f"{part_name(*place)}.bias"] = torch.from_numpy(cut.bias[place])
        if place in cut.weights:
            tensors[f"{part_name(*place)}.weight"] = cut.weights[place].values.contiguous()
        reads = cut.weights[place].reads if place in cut.weights else {}
        for name, weight in {**cut.matrices.get(place, {}), **reads}.items():
            tensors[f"{part_name(*place)}{MATRIX}{name}"] = weight.values.contiguous()
    write_tensors(tensors, path)
    return sha256(path)


def read_corrections(
    path: Path | None, expected: str
) -> tuple[dict[Place, np.ndarray], dict[Place, Weight], dict[Place, dict[str, Weight]]]:
    """Read the biases, the weights and the matrices that belong to a pattern.

    Matrices of a block whose last projection has a weight here are read into that.

    Raises:
        EvopError: missing, another pattern's, or none.
    """
    from safetensors.torch import load_file

    if path is None or not path.is_file():
        raise EvopError(
            f"the pattern has corrections, but {path or CORRECTIONS} is missing; keep it beside pattern.json"
        )
    if sha256(path) != expected:
        raise EvopError(f"{path} belongs to another pattern: its sha256 is not {expected[:12]}…; copy both again")
    biases: dict[Place, np.ndarray] = {}
    weights: dict[Place, Weight] = {}
    matrices: dict[Place, dict[str, Weight]] = {}
    try:
        for name, tensor in load_file(path).items():
            block, is_matrix, module = name.partition(MATRIX)
            if is_matrix:
                matrices.setdefault(place_of(block), {})[module] = Weight(tensor)
                continue
            part, _, what = name.rpartition(".")
            if what == "weight":
                weights[place_of(part)] = Weight(tensor)
            else:
                biases[place_of(part)] = tensor.numpy()
    except Exception as error:  # safetensors raises what the file makes it raise
        raise EvopError(f"{path} holds no corrections ({first_line(error)}); copy both again") from error
    weights = {place: Weight(weight.values, matrices.pop(place, {})) for place, weight in weights.items()}
    return biases, weights, matrices
