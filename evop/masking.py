"""Run a model as if parts of it were gone, and leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from evop.cut import Cut, Place
from evop.export.modeling_evop import Absent
from evop.families import Family


class AbsentLayer(nn.Module):
    """Stands where a whole decoder layer was: passes the stream on."""

    def forward(self, hidden_states: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        """The input, unchanged."""
        return hidden_states


class Thinned(nn.Module):
    """Stands where the last projection of a thinned block was: inputs of units that are gone count as zero.

    Args:
        inner: the projection.
        stays: bool [features], which inputs stay.
        bias: added to the output, [hidden], or None.
    """

    def __init__(self, inner: nn.Module, stays: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.inner, self.stays, self.bias = inner, stays, bias

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """The projection of what stays."""
        # Filled, not multiplied: a unit that overflowed is gone all the same.
        out = self.inner(hidden_states.masked_fill(~self.stays, 0))
        return out if self.bias is None else out + self.bias


@contextmanager
def masked(model: nn.Module, family: Family, cut: Cut) -> Iterator[nn.Module]:
    """The model with a cut made, for the length of a ``with`` block.

    What it computes is what the pruned checkpoint computes, up to rounding. The dense model is put back on
    leaving, whatever happened inside. Keys and values must not be cached: absent layers keep their numbers.
    """
    layers = family.layer_list(model)
    swapped: list[tuple[nn.Module, str, nn.Module]] = []

    def swap(owner: nn.Module, dotted: str, module: nn.Module) -> None:
        path, _, name = dotted.rpartition(".")
        inside = owner.get_submodule(path)
        swapped.append((inside, name, inside.get_submodule(name)))
        inside._modules[name] = module

    try:
        for kind, layer in sorted(cut.gone):
            if {("attn", layer), ("mlp", layer)} <= cut.gone:
                if kind == "attn":
                    swap(layers, str(layer), AbsentLayer())
                continue
            block = family.block(kind)
            for norm in block.norms:
                swap(layers[layer], norm, nn.Identity())
            swap(layers[layer], block.main, Absent(block.returns))
        for place in cut.kept:
            out = family.block(place[0]).out
            swap(layers[place[1]], out, _thinned(layers[place[1]].get_submodule(out), family, model, cut, place))
        yield model
    finally:
        for owner, name, module in reversed(swapped):
            owner._modules[name] = module


def _thinned(inner: nn.Module, family: Family, model: nn.Module, cut: Cut, place: Place) -> Thinned:
    weight = inner.get_parameter("weight")
    features = weight.shape[family.block(place[0]).out_axis]
    units = family.units(model.config, place[0])
    stays = torch.zeros(units, dtype=torch.bool)
    stays[list(cut.kept[place])] = True
    bias = cut.bias.get(place)
    return Thinned(
        inner,
        stays.repeat_interleave(features // units).to(weight.device),
        None if bias is None else torch.from_numpy(bias).to(weight),
    )
