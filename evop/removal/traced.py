"""Checkpoints that other tools pruned: their weights say which blocks and units of the dense model stayed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from evop.errors import EvopError
from evop.model.block_weights import BlockWeights
from evop.model.checkpoint import Checkpoint
from evop.model.families import BLOCK_KINDS, family_of
from evop.removal.cut import Cut, Place, part_name
from evop.removal.ladder import width_ladder
from evop.removal.pattern_file import PatternFile
from evop.removal.space import layer_count, pattern_space
from patterns import PatternError

ALONE = {"attn": "head", "mlp": "channel"}
"""Kind of block -> the grain that thins no other."""
INSTEAD = "give the pattern instead: the layers that left as a list (.txt), a layer_drop_config.txt, or a pattern.json"
"""What a person can do where weights do not say what left."""


def traced_pattern(folder: Path, dense: Checkpoint) -> PatternFile:
    """Find by which pattern a checkpoint was pruned.

    What a block reads with (query, key, value, gate, up) is compared to the byte. Its last projection may hold
    anything, since tools that make up for what left change just that; but a unit for which it is zero has left.

    Args:
        folder: the checkpoint's folder.
        dense: the model that it was pruned from.

    Returns:
        The pattern; deploy is ``any``, ``remove`` is what it reaches, and there is no claim.

    Raises:
        EvopError: its weights are not the dense model's, nothing left, or what left is no pattern of evop's.
    """
    family, pruned = family_of(dense.model_type), Checkpoint.find(folder)
    try:
        cut = _cut(BlockWeights(pruned, family, dense), BlockWeights(dense, family, dense))
        return _described(cut, dense)
    except (EvopError, PatternError) as error:
        raise EvopError(f"--pattern {folder} has no pattern.json, and {error}; {INSTEAD}") from error


def _cut(own: BlockWeights, dense: BlockWeights) -> Cut:
    """Follow a pruned model through the dense one, block by block, in the order in which they run.

    Raises:
        EvopError: a block that is none of the dense model's, or not in its order; or nothing left.
    """
    places: list[Place] = [(kind, layer) for layer in range(layer_count(dense.checkpoint)) for kind in BLOCK_KINDS]
    left, stays = iter(places), dict[Place, tuple[int, ...]]()
    for kind, layer in ((kind, layer) for layer in own.layers for kind in BLOCK_KINDS):
        if units := [unit for unit in own.hashed(kind, layer, own) if unit is not None]:
            found, at = _next(left, (kind, layer), units, own, dense)
            stays[found] = at
    kept = {place: at for place, at in stays.items() if len(at) < dense.units(place[0])}
    if not stays or (len(stays) == len(places) and not kept):
        amount = "every block and unit" if stays else "no block"
        raise EvopError(f"its weights hold {amount} of {dense.checkpoint.name}")
    return Cut(frozenset(places) - stays.keys(), kept)


def _next(
    left: Iterator[Place], place: Place, units: list[bytes], own: BlockWeights, dense: BlockWeights
) -> tuple[Place, tuple[int, ...]]:
    """Find the next block of the dense model that holds all units of a block, and which of its units they are."""
    for found in left:
        if found[0] == place[0]:
            there: dict[bytes, list[int]] = {}
            for number, unit in enumerate(dense.hashed(*found, own)):
                if unit is not None:
                    there.setdefault(unit, []).append(number)
            at = [there[unit].pop(0) for unit in units if there.get(unit)]
            if len(at) == len(units):
                return found, tuple(sorted(at))
    raise EvopError(
        f"its {part_name(*place)} is no block of {dense.checkpoint.name}, or comes behind one that follows it there: "
        "trained since, or pruned from another model"
    )


def _described(cut: Cut, dense: Checkpoint) -> PatternFile:
    """Describe what left as a pattern, at the coarsest grain that says it.

    Raises:
        EvopError: the family holds no such pattern, or widths lie on no ladder.
    """
    thinned, step = {kind for kind, _ in cut.kept}, None
    whole = {layer for _, layer in cut.gone if {("attn", layer), ("mlp", layer)} <= cut.gone}
    names = [part_name(*place) for place in sorted(cut.gone)]
    if thinned:
        grain = "mixed" if len(thinned | {kind for kind, _ in cut.gone}) == 2 else ALONE[thinned.pop()]
        step = _step(cut, dense)
    elif len(cut.gone) == 2 * len(whole):
        grain, names = "layer", [part_name("layer", layer) for layer in sorted(whole)]
    else:
        grain = "subblock"
    space = pattern_space(dense, grain, "any", (), width_step=step)
    parts = {part.name: part for part in space.parts}
    levels = {}
    for place, units in cut.kept.items():
        part = parts[part_name(*place)]
        levels[part.name] = part.units.index(part.units[-1] - len(units))
    pattern = space.pattern(names, levels)
    reached = space.reached(pattern).block_params
    return PatternFile.describe(dense, space, pattern, cut, remove=reached, cost="params", width_step=step)


def _step(cut: Cut, dense: Checkpoint) -> int | None:
    """Find a step that gives the widths of all thinned MLPs; None for the model's own.

    Raises:
        EvopError: there is none.
    """
    family = family_of(dense.model_type)
    widths = {len(units) for (kind, _), units in cut.kept.items() if kind == "mlp"}
    width = family.units(dense.resolved, "mlp")
    for step in (None, math.gcd(*widths)) if widths else (None,):
        if widths <= {width - gone for gone in width_ladder(width, step)}:
            return step
    found = ", ".join(map(str, sorted(widths)[:3]))
    raise EvopError(f"its MLPs have {len(widths)} widths ({found}, …) that are no multiples of one step, 16 at most")
