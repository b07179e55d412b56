"""Run a model as if parts of it were gone, and leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from evop.export.modeling_evop import Absent
from evop.families import Family
from patterns import Pattern, PatternSpace


class AbsentLayer(nn.Module):
    """Stands where a whole decoder layer was: passes the stream on."""

    def forward(self, hidden_states: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        """The input, unchanged."""
        return hidden_states


@contextmanager
def masked(model: nn.Module, family: Family, space: PatternSpace, pattern: Pattern) -> Iterator[nn.Module]:
    """The model with the pattern's parts absent, for the length of a ``with`` block.

    What it computes is what the pruned checkpoint computes, up to rounding. The dense model is put back on
    leaving, whatever happened inside. Keys and values must not be cached: absent layers keep their numbers.
    """
    layers = family.layer_list(model)
    swapped: list[tuple[nn.Module, str, nn.Module]] = []
    try:
        for part, level in zip(space.parts, pattern.levels, strict=True):
            if level == 0:
                continue
            if part.kind == "layer":
                swapped.append(_swap(layers, str(part.layer), AbsentLayer()))
                continue
            block = family.block(part.kind)
            for norm in block.norms:
                swapped.append(_swap(layers[part.layer], norm, nn.Identity()))
            swapped.append(_swap(layers[part.layer], block.main, Absent(block.returns)))
        yield model
    finally:
        for owner, name, module in reversed(swapped):
            owner._modules[name] = module


def _swap(owner: nn.Module, name: str, module: nn.Module) -> tuple[nn.Module, str, nn.Module]:
    before = owner._modules[name]
    assert before is not None
    owner._modules[name] = module
    return owner, name, before
