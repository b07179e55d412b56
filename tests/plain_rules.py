"""What the rules of legality mean, over all patterns of a small space, written apart from the automata."""

from __future__ import annotations

from itertools import product

import numpy as np

from patterns import Pattern, PatternSpace

PAIRED = ("subblock", "mixed")
"""Grains at which two parts leave together under ``stock``."""


def every_pattern(space: PatternSpace) -> list[Pattern]:
    """Return every choice of one level per part."""
    return [Pattern(levels) for levels in product(*(range(part.top + 1) for part in space.parts))]


def is_legal(space: PatternSpace, pattern: Pattern) -> bool:
    """Return whether a pattern is legal, in the words of its rule."""
    levels = list(zip(space.parts, pattern.levels, strict=True))
    if any(level for part, level in levels if part.name in space.protected):
        return False
    kept = [(part.kind, level) for part, level in levels if level < part.top]
    alternates = [kind for kind, _ in kept] == ["attn", "mlp"] * (len(kept) // 2)
    one_level = all(len({level for kind, level in kept if kind == other}) <= 1 for other in ("attn", "mlp"))
    stock = {
        "layer": True,
        "subblock": alternates,
        "head": one_level and len(kept) == len(levels),
        "channel": one_level and len(kept) == len(levels),
        "mixed": alternates and one_level,
    }
    if space.deploy == "balanced":
        gone = [part.kind for part, level in levels if level == part.top]
        return gone.count("attn") == gone.count("mlp")
    return space.deploy == "any" or stock[space.grain]


def is_unit(space: PatternSpace, larger: Pattern, smaller: Pattern) -> bool:
    """Return whether two legal patterns are one unit apart.

    A unit is one level of one part. Where a rule couples parts, it is one level of all kept parts of a kind, or two
    parts that are gone together, whatever level they had; of both kinds, where the rule counts them.
    """
    levels = list(zip(space.parts, larger.levels, smaller.levels, strict=True))
    changed = [(part, before, after) for part, before, after in levels if before != after]
    one_level = all(after - before == 1 for _, before, after in changed)
    if space.deploy == "any" or space.grain == "layer":
        return len(changed) == 1 and one_level
    kinds = {part.kind for part, *_ in changed}
    kept = [(part, before, after) for part, before, after in levels if part.kind in kinds and before < part.top]
    stay = all(after < part.top for part, _, after in changed)
    pair = len(changed) == 2 and all(before < part.top == after for part, before, after in changed)
    if space.deploy == "balanced":
        return pair and len(kinds) == 2
    thinner = len(kinds) == 1 and changed == kept and one_level and stay
    return (pair and space.grain in PAIRED) or (thinner and space.grain != "subblock")


def is_put_back(space: PatternSpace, pattern: Pattern, larger: Pattern) -> bool:
    """Return whether a put-back leads from a pattern to a larger one; blocks come back dense where none is kept."""
    kept = any(level < part.top for part, level in zip(space.parts, pattern.levels, strict=True))
    back = [level for part, level in zip(space.parts, larger.levels, strict=True) if level < part.top]
    return is_unit(space, larger, pattern) and (space.deploy == "any" or kept or not any(back))


def meeting(space: PatternSpace, need: float, **needs: float) -> set[Pattern]:
    """Return every legal pattern that removes enough parameters, and of other costs, and lets no unit come back."""
    legal = [pattern for pattern in every_pattern(space) if is_legal(space, pattern)]
    enough = [
        pattern
        for pattern in legal
        if all(getattr(space.removed(pattern), cost) >= least for cost, least in {"params": need, **needs}.items())
    ]
    levels = np.array([pattern.levels for pattern in enough])
    return {p for p in enough if not any(is_put_back(space, p, enough[i]) for i in _below(levels, p))}


def _below(levels: np.ndarray, pattern: Pattern) -> np.ndarray:
    """Return the rows of levels that exceed the pattern's nowhere: no other row can be a put-back of it."""
    return np.flatnonzero((levels <= np.array(pattern.levels)).all(axis=1))
