"""A bias in place of what removed units gave on average."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from evop.model.families import BLOCK_KINDS
from evop.model.loaded import LoadedModel
from evop.removal.cut import Cut, Place, part_name

STORED = {"F16": torch.float16, "BF16": torch.bfloat16}
"""Safetensors dtype -> the dtype a number is rounded to when it is stored; others lose nothing of a float32."""


def compensated(cut: Cut, loaded: LoadedModel, fill: Mapping[str, np.ndarray]) -> Cut:
    """Give every thinned block of a cut its bias, rounded as it will be once it was stored.

    Args:
        cut: what leaves the model.
        loaded: the dense model.
        fill: part name -> mean of each input feature of the block's last projection, float32 [features].

    Source: FLAP (arXiv 2312.11983), baseline bias compensation: the weight's columns of what leaves, times the mean
    of what they read.
    """
    if not fill:
        return cut
    layers, family = loaded.family.layer_list(loaded.model), loaded.family
    bias: dict[Place, np.ndarray] = {}
    for (kind, layer), kept in cut.kept.items():
        block = family.block(kind)
        out = layers[layer].get_submodule(block.out)
        weight = _widest(out.get_parameter("weight").detach())
        mean = fill[part_name(kind, layer)].reshape(family.units(loaded.model.config, kind), -1).copy()
        mean[list(kept)] = 0
        lost = torch.from_numpy(mean.ravel()).to(weight)
        added = weight @ lost if block.out_axis == 1 else lost @ weight
        # What is stored is the sum of the old bias and the new, rounded; the cut holds only what that sum adds, so that
        # the masked model and the saved one compute the same.
        own = stored_biases(loaded).get((kind, layer))
        there = torch.zeros(len(added)) if own is None else own
        rounded = (there + added.cpu()).to(stored_dtype(loaded, (kind, layer), "weight" if own is None else "bias"))
        bias[kind, layer] = (rounded.float() - there).numpy()
    return replace(cut, bias=bias)


def stored_dtype(loaded: LoadedModel, place: Place, parameter: str = "weight") -> torch.dtype:
    """Name the dtype that a parameter of a block's last projection is rounded to when it is stored."""
    kind, layer = place
    family, tensors = loaded.family, loaded.checkpoint.tensors
    name = f"{family.stem(tensors)}{layer}.{family.block(kind).out}.{parameter}"
    return STORED.get(tensors[name].dtype, torch.float32)


def _widest(weight: torch.Tensor) -> torch.Tensor:
    """Widen a weight to float64, so that a bias is rounded to the same stored number on every processor."""
    return (weight.cpu() if weight.device.type == "mps" else weight).double()  # MPS has no float64


def stored_biases(loaded: LoadedModel) -> Mapping[Place, torch.Tensor]:
    """Read the biases of the last projections as stored, not as loaded: from the disk, once per model.

    Returns:
        Block -> float32 [hidden]; blocks without one are missing.
    """
    if loaded.model not in _BIASES:
        _BIASES[loaded.model] = _read_biases(loaded)
    return _BIASES[loaded.model]


_BIASES: WeakKeyDictionary[nn.Module, dict[Place, torch.Tensor]] = WeakKeyDictionary()


def _read_biases(loaded: LoadedModel) -> dict[Place, torch.Tensor]:
    from safetensors import safe_open

    family, checkpoint = loaded.family, loaded.checkpoint
    blocks = [(kind, layer) for layer in range(len(family.layer_list(loaded.model))) for kind in BLOCK_KINDS]
    named = ((family.own_bias(checkpoint.tensors, *place), place) for place in blocks)
    names = {name: place for name, place in named if name}
    biases: dict[Place, torch.Tensor] = {}
    for shard in checkpoint.shards:
        with safe_open(checkpoint.folder / shard, framework="pt") as file:
            biases |= {names[name]: file.get_tensor(name).float() for name in names.keys() & set(file.keys())}
    return biases
