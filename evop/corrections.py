"""A bias in place of what removed units gave on average, and the file that carries it beside a pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from evop.cut import Cut, Place, place_of
from evop.errors import EvopError
from evop.families import Family
from evop.files import sha256, whole

FILE = "corrections.safetensors"


def corrected(cut: Cut, model: object, family: Family, fill: Mapping[str, np.ndarray]) -> Cut:
    """The cut with a bias for every thinned block.

    Args:
        cut: what leaves.
        model: the dense model.
        family: its family.
        fill: part name -> mean of each input feature of the block's last projection, float32 [features].

    Source: FLAP (arXiv 2312.11983), baseline bias compensation: the weight's columns of what leaves, times the mean
    of what they read.
    """
    if not fill:
        return cut
    layers = family.layer_list(model)  # type: ignore[arg-type]
    bias: dict[Place, np.ndarray] = {}
    for (kind, layer), kept in cut.kept.items():
        block = family.block(kind)
        weight = layers[layer].get_submodule(block.out).get_parameter("weight").detach().float().cpu().numpy()
        mean = fill[f"layers.{layer}.{kind}"].reshape(family.units(model.config, kind), -1).copy()  # type: ignore[attr-defined]
        mean[list(kept)] = 0
        bias[kind, layer] = np.float32(weight @ mean.ravel() if block.out_axis == 1 else mean.ravel() @ weight)
    return replace(cut, bias=bias)


def write_corrections(cut: Cut, path: Path) -> str:
    """Write the biases of a cut; returns the file's sha256."""
    from safetensors.numpy import save_file

    with whole(path) as temporary:
        save_file({f"layers.{layer}.{kind}": bias for (kind, layer), bias in sorted(cut.bias.items())}, temporary)
    return sha256(path)


def read_corrections(path: Path | None, expected: str) -> dict[Place, np.ndarray]:
    """Read the biases that belong to a pattern.

    Raises:
        EvopError: missing, or another pattern's.
    """
    from safetensors.numpy import load_file

    if path is None or not path.is_file():
        raise EvopError(f"the pattern has corrections, but {path or FILE} is missing; keep it beside pattern.json")
    if sha256(path) != expected:
        raise EvopError(f"{path} belongs to another pattern: its sha256 is not {expected[:12]}…; copy both again")
    return {place_of(name): bias for name, bias in load_file(path).items()}
