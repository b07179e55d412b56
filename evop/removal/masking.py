"""Run a model as if parts of it were gone, and leave it as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from evop.model.families import Family
from evop.model.families.family import Block
from evop.removal.cut import Cut, Place, Weight
from evop.removal.modeling_evop import Absent


class AbsentLayer(nn.Module):
    """Stands where a whole decoder layer was: passes the stream on."""

    def forward(self, hidden_states: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        """Return the stream unchanged."""
        return hidden_states


class Thinned(nn.Module):
    """Stands where the last projection of a thinned block was: inputs of units that are gone count as zero.

    Args:
        inner: the projection.
        stays: which inputs stay, bool [features].
        bias: what is added to the output, [hidden], or None.
    """

    def __init__(self, inner: nn.Module, stays: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.inner, self.stays, self.bias = inner, stays, bias

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Project what stays."""
        # Filled, not multiplied: a unit that overflowed is gone all the same.
        out = self.inner(hidden_states.masked_fill(~self.stays, 0))
        return out if self.bias is None else out + self.bias


class Refitted(nn.Module):
    """Stands where a last projection was that has got another weight.

    Args:
        weight: the weight, [hidden, features that stay].
        stays: indices of the input features that stay, int64, or None for all of them.
        bias: what is added to the output, [hidden], or None.
    """

    def __init__(self, weight: torch.Tensor, stays: torch.Tensor | None, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.weight, self.stays, self.bias = weight, stays, bias

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Project what stays."""
        kept = hidden_states if self.stays is None else hidden_states.index_select(-1, self.stays)
        return functional.linear(kept, self.weight, self.bias)


class Reweighted(nn.Module):
    """Stands where a matrix was that has got another weight of its own shape.

    Args:
        inner: the module; it computes with the weight as it would with its own.
        weight: the weight, the way round that the module keeps it.
    """

    def __init__(self, inner: nn.Module, weight: torch.Tensor) -> None:
        super().__init__()
        self.inner, self.weight = inner, weight

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Project."""
        return functional_call(self.inner, {"weight": self.weight}, (hidden_states,))


class Swap(NamedTuple):
    """A module to stand in for another."""

    owner: nn.Module
    name: str
    module: nn.Module

    @classmethod
    def at(cls, owner: nn.Module, dotted: str, module: nn.Module) -> Swap:
        """Plan to put a module in the place of the one that an owner knows by a dotted name."""
        path, _, name = dotted.rpartition(".")
        return cls(owner.get_submodule(path), name, module)


@contextmanager
def swapped(swaps: Iterable[Swap]) -> Iterator[None]:
    """Put stand-ins in place for the length of a ``with`` block; undone on leaving, whatever happened inside."""
    undo: list[Swap] = []
    try:
        for swap in swaps:
            # Not by setattr: what hooks and libraries do there is not for a moment's stand-in.
            undo.append(Swap(swap.owner, swap.name, swap.owner.get_submodule(swap.name)))
            swap.owner._modules[swap.name] = swap.module
        yield
    finally:
        for before in reversed(undo):
            before.owner._modules[before.name] = before.module


@contextmanager
def masked(model: nn.Module, family: Family, cut: Cut) -> Iterator[nn.Module]:
    """Make a cut in a model for the length of a ``with`` block.

    What it computes is what the pruned checkpoint computes, up to rounding. The dense model is put back on
    leaving, whatever happened inside. Keys and values must not be cached: absent layers keep their numbers.
    """
    layers = family.layer_list(model)
    swaps: list[Swap] = []
    for kind, layer in sorted(cut.gone):
        if {("attn", layer), ("mlp", layer)} <= cut.gone:
            if kind == "attn":
                swaps.append(Swap(layers, str(layer), AbsentLayer()))
            continue
        swaps += block_swaps(layers[layer], family.block(kind))
    reads = {place: weight.reads for place, weight in cut.weights.items()}
    for (_, layer), matrices in {**cut.matrices, **reads}.items():
        swaps += matrix_swaps(layers[layer], matrices.items())
    for place in sorted(cut.kept.keys() | cut.weights.keys()):
        changes = cut.kept.get(place), cut.bias.get(place), cut.weights.get(place)
        swaps.append(changed(layers[place[1]], family, model, place, *changes))
    with swapped(swaps):
        yield model


def block_swaps(layer: nn.Module, block: Block) -> list[Swap]:
    """List the stand-ins for the modules of a block that is gone."""
    norms = [Swap.at(layer, norm, nn.Identity()) for norm in block.norms]
    return [*norms, Swap.at(layer, block.main, Absent(block.returns))]


def matrix_swaps(layer: nn.Module, matrices: Iterable[tuple[str, Weight]]) -> list[Swap]:
    """List the stand-ins for matrices of a decoder layer that have other weights: name -> weight."""
    swaps = []
    for name, weight in matrices:
        inner = layer.get_submodule(name)
        swaps.append(Swap.at(layer, name, Reweighted(inner, weight.values.to(inner.get_parameter("weight")))))
    return swaps


def changed(
    layer: nn.Module,
    family: Family,
    model: nn.Module,
    place: Place,
    kept: Sequence[int] | None,
    bias: np.ndarray | None,
    weight: Weight | None,
) -> Swap:
    """Make the stand-in for the last projection of a block that keeps some units, or has another weight, or both.

    Args:
        layer: the decoder layer.
        family: the family that names the layer's modules.
        model: the model whose config counts the units.
        place: the block.
        kept: the units that stay, or None for all of them.
        bias: what is added to the output of the projection, float32 [hidden], or None.
        weight: the projection's new weight, or None.
    """
    kind, _ = place
    block = family.block(kind)
    inner = layer.get_submodule(block.out)
    own = inner.get_parameter("weight")
    stays = None if kept is None else features_of(kept, family.units(model.config, kind), own.shape[block.out_axis])
    added = None if bias is None else torch.tensor(bias).to(own)
    if weight is not None:
        there: list[torch.Tensor] = [each for each in (getattr(inner, "bias", None), added) if each is not None]
        total = torch.stack(there).sum(dim=0) if there else None
        at = None if stays is None else stays.nonzero().ravel().to(own.device)
        return Swap.at(layer, block.out, Refitted(weight.values.to(own), at, total))
    assert stays is not None, f"{place}: neither units nor a weight"
    return Swap.at(layer, block.out, Thinned(inner, stays.to(own.device), added))


def features_of(kept: Sequence[int], units: int, features: int) -> torch.Tensor:
    """Mark the input features of the units that stay: bool [features]."""
    stays = torch.zeros(units, dtype=torch.bool)
    stays[list(kept)] = True
    return stays.repeat_interleave(features // units)
