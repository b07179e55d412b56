"""A bias in place of what removed units gave on average, and the file that carries it beside a pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from evop.cut import Cut, Place, place_of
from evop.errors import EvopError
from evop.files import sha256, whole
from evop.load import LoadedModel

FILE = "corrections.safetensors"


STORED = {"F16": torch.float16, "BF16": torch.bfloat16}
"""Safetensors dtype -> what a number is rounded to when it is stored; others lose nothing of a float32."""


def corrected(cut: Cut, loaded: LoadedModel, fill: Mapping[str, np.ndarray]) -> Cut:
    """The cut with a bias for every thinned block, as it will be once it was stored.

    Args:
        cut: what leaves.
        loaded: the dense model.
        fill: part name -> mean of each input feature of the block's last projection, float32 [features].

    Source: FLAP (arXiv 2312.11983), baseline bias compensation: the weight's columns of what leaves, times the mean
    of what they read.
    """
    if not fill:
        return cut
    layers, family = loaded.family.layer_list(loaded.model), loaded.family
    stem = family.stem(loaded.checkpoint.tensors)
    bias: dict[Place, np.ndarray] = {}
    for (kind, layer), kept in cut.kept.items():
        block = family.block(kind)
        out = layers[layer].get_submodule(block.out)
        weight = _widest(out.get_parameter("weight").detach())
        mean = fill[f"layers.{layer}.{kind}"].reshape(family.units(loaded.model.config, kind), -1).copy()
        mean[list(kept)] = 0
        lost = torch.from_numpy(mean.ravel()).to(weight)
        added = weight @ lost if block.out_axis == 1 else lost @ weight
        own = loaded.own_biases.get((kind, layer))
        there = torch.zeros(len(added)) if own is None else own
        stored = loaded.checkpoint.tensors[f"{stem}{layer}.{block.out}.{'weight' if own is None else 'bias'}"].dtype
        rounded = (there + added.cpu()).to(STORED.get(stored, torch.float32)).float()
        bias[kind, layer] = (rounded - there).numpy()
    return replace(cut, bias=bias)


def _widest(weight: torch.Tensor) -> torch.Tensor:
    """A weight in float64, so that a bias is rounded to the same stored number on every processor."""
    return (weight.cpu() if weight.device.type == "mps" else weight).double()  # MPS has no float64


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
