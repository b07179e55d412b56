"""Patterns whose blocks got other weights, as a refit gives them, or biases, as ``--compensate`` does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tiny import ranking

from evop.files.names import CORRECTIONS, PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.families.family import Block
from evop.model.loaded import load_model
from evop.removal.compensation import compensated
from evop.removal.corrections import write_corrections
from evop.removal.cut import Cut, Weight
from evop.removal.pattern_facts import RefitNote
from evop.removal.pattern_file import PatternFile
from patterns import Pattern, PatternSpace

NOTE = RefitNote(method="chain", ridge=0.1, through=3, calibration="none", tokens=10, anchor=0.0)
"""How they were made, as a pattern file says it."""


def reweighted(model: torch.nn.Module, cut: Cut, stored: torch.dtype) -> Cut:
    """The cut with another weight for every matrix of every block that stays, as ``--refit both`` makes them."""
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

            def changed(values: torch.Tensor) -> torch.Tensor:
                noise = torch.randn(values.shape, generator=generator) * values.std()
                return (values + noise).to(stored)

            read = {name: part.weight.detach() for name, part in layer.named_modules() if reads(block, name, part)}
            others = {name: Weight(changed(whole)) for name, whole in read.items()}
            weights[kind, number] = Weight(changed(values), others)
    return replace(cut, weights=weights)


def reads(block: Block, name: str, module: torch.nn.Module) -> bool:
    """Whether a module of a layer is a matrix that a block reads its input with."""
    weight = module._parameters.get("weight")
    inside = any(f"{name}.".startswith(f"{part}.") for part in block.modules)
    return weight is not None and weight.dim() == 2 and inside and name != block.out


def write_corrected(checkpoint: Checkpoint, space: PatternSpace, pattern: Pattern, run: Path, dtype: str) -> None:
    """What a search that computes in ``dtype`` leaves of a pattern."""
    loaded, family, rng = (
        load_model(checkpoint, "cpu", dtype),
        family_of(checkpoint.model_type),
        np.random.default_rng(1),
    )
    fill = {}
    for part in space.parts:
        block = family.block(part.kind)
        weight = family.layer_list(loaded.model)[part.layer].get_submodule(block.out).weight
        fill[part.name] = rng.normal(0, 0.3, weight.shape[block.out_axis]).astype(np.float32)
    cut = compensated(ranking(space).cut_of(space, pattern), loaded, fill)
    run.mkdir(exist_ok=True)
    digest = write_corrections(cut, run / CORRECTIONS)
    how = {"remove": 0.1, "cost": "params", "compensate": "bias", "corrections": digest}
    file = PatternFile.describe(checkpoint, space, pattern, cut, **how)
    file.write(run / PATTERN)
