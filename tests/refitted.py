"""Patterns whose last projections got other weights, as a refit gives them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from evop.model.families import family_of
from evop.removal.cut import Cut, Weight
from evop.removal.pattern_facts import RefitNote

NOTE = RefitNote(method="chain", ridge=0.1, through=3, calibration="none", tokens=10, anchor=0.0)
"""How they were made, as a pattern file says it."""


def reweighted(model: torch.nn.Module, cut: Cut, stored: torch.dtype) -> Cut:
    """The cut with another weight for the last projection of every block that stays."""
    family, generator = family_of(model.config.model_type), torch.Generator().manual_seed(0)
    weights = {}
    for number, layer in enumerate(family.layer_list(model)):
        for kind in ("attn", "mlp"):
            if (kind, number) in cut.gone:
                continue
            block = family.block(kind)
            weight = layer.get_submodule(block.out).weight.detach()
            values = weight if block.out_axis == 1 else weight.T
            units, kept = family.units(model.config, kind), cut.kept.get((kind, number))
            if kept is not None:
                size = values.shape[1] // units
                values = values[:, (np.array(kept)[:, None] * size + np.arange(size)).ravel()]
            noise = torch.randn(values.shape, generator=generator) * values.std()
            weights[kind, number] = Weight((values + noise).to(stored))
    return replace(cut, weights=weights)
