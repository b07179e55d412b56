"""Sensitivities: what parts cost when they leave alone, and the pattern that this alone would choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from patterns.budget import Budget
from patterns.part import Part, Pattern
from patterns.space import PatternSpace

PROBING = ("surrogate", "cma")
"""Strategies that search on from sensitivities: they measure nothing else before."""
SHARING_ROUNDS = 5
"""Times the value of a removal is shared out anew among its parts; few, so that noise is not followed to its end."""
UNKNOWN = 10.0
"""A part that was not measured costs so many times as much as the worst that was."""
LEAST = 0.05
"""A part costs at least this fraction of what parts cost in the median: none is free for all others' sake."""


def shares(part: Part) -> np.ndarray:
    """Return the share of a part's importance that is gone at each level, half-way between the prices around it.

    Returns:
        float [levels]; 0 where the part is dense, 1 where it is gone.
    """
    prices = np.array(part.ladder)
    return np.concatenate([[0.0], (prices[1:] + prices[:-1]) / 2, [1.0]])


def gone(space: PatternSpace, patterns: Sequence[Pattern]) -> np.ndarray:
    """Return the share of its importance that is gone, per part; float [patterns, parts]."""
    levels = np.array([pattern.levels for pattern in patterns]).reshape(len(patterns), len(space.parts))
    return np.stack([shares(part)[levels[:, i]] for i, part in enumerate(space.parts)], axis=1)


def probes(space: PatternSpace) -> list[Pattern]:
    """Return the removals that tell what each part costs: each part gone alone, where that is legal anywhere.

    Elsewhere they are smallest legal removals, those of neighbouring parts first, without those whose cost would
    follow from others' if costs added up.
    """
    wholes = [space.dense.with_level(i, space.parts[i].top) for i in space.free]
    if alone := [pattern for pattern in wholes if space.legal(pattern)]:
        return alone
    removals = list(space.removals(space.dense))
    rows = gone(space, removals)
    chosen: list[int] = []
    basis: list[np.ndarray] = []
    for i in sorted(range(len(removals)), key=lambda i: _span(removals[i])):
        rest = rows[i] - sum((row @ rows[i]) * row for row in basis)
        length = float(np.linalg.norm(rest))
        if length > 1e-9:
            basis.append(rest / length)
            chosen.append(i)
    return [removals[i] for i in sorted(chosen)]


def effects(space: PatternSpace, values: Mapping[Pattern, float]) -> np.ndarray:
    """Estimate what each part costs when it leaves, from the values of some removals.

    A removal's value is shared out among its parts, in proportion to what each of them accounts for in the others; a
    part gone alone gets all of it. A failed measurement counts as worse than all others, and a part of which nothing
    is known as much worse: it leaves last.

    Args:
        space: the space of the removals.
        values: removal -> its value.

    Returns:
        float [parts], above zero.

    Source: the multiplicative updates of Lee and Seung, "Algorithms for non-negative matrix factorization" (2000),
    for the divergence.
    """
    if not values:
        return np.ones(len(space.parts))
    measured = finite(list(values.values()))
    typical = float(np.median(np.abs(measured))) or 1.0
    measured = np.maximum(measured, LEAST * typical)
    rows = gone(space, list(values))
    known = rows.any(axis=0)
    cost = np.full(len(space.parts), typical)
    for _ in range(SHARING_ROUNDS):
        ratio = measured / (rows @ cost)
        cost = np.where(known, cost * (rows.T @ ratio) / np.where(known, rows.sum(axis=0), 1.0), cost)
    return np.where(known, np.maximum(cost, LEAST * typical), UNKNOWN * cost[known].max())


def by_effects(budget: Budget, cost: np.ndarray) -> Pattern:
    """Return the pattern of the least sum of what its parts cost for what they remove.

    Args:
        budget: hands out the pattern.
        cost: float [parts], what each costs when it leaves; spread over its levels by their prices.
    """
    order = []
    for i, part in enumerate(budget.space.parts):
        steps = np.diff(shares(part)) * cost[i]
        # Coupled, the budget weighs a ladder by its length, and the rule settles what is removed.
        order.append(steps * part.top if budget.space.legality.couples else steps / _removed(budget, i))
    return budget.ranked(order)


def preferences(budget: Budget, cost: np.ndarray) -> np.ndarray:
    """Return preferences in which what costs least for what it removes leaves first, for ``Budget.decode``.

    Args:
        budget: decodes the preferences.
        cost: float [parts], above zero: what each costs when it leaves.

    Returns:
        float [parts]: around the middle of the prices, spread like their half.
    """
    space = budget.space
    removed = [max(1, budget.gone(space.dense.with_level(i, part.top))) for i, part in enumerate(space.parts)]
    dear = np.log(cost if space.legality.couples else cost / np.array(removed))
    free = dear[list(space.free)]
    return 0.5 - 0.25 * (dear - free.mean()) / (free.std() or 1.0)


def _removed(budget: Budget, part: int) -> np.ndarray:
    """Return what each level of a part removes beyond the one before, at least 1; int [levels - 1]."""
    dense, top = budget.space.dense, budget.space.parts[part].top
    return np.maximum(1, np.diff([budget.gone(dense.with_level(part, level)) for level in range(top + 1)]))


def _span(removal: Pattern) -> int:
    """Return how far apart the first and the last part of a removal lie."""
    places = [i for i, level in enumerate(removal.levels) if level]
    return places[-1] - places[0]


def finite(values: Sequence[float]) -> np.ndarray:
    """Return values in which failed measurements rank last, by as much as the others span.

    Returns:
        float [values], all finite.
    """
    measured = np.asarray(values, dtype=float)
    whole = measured[np.isfinite(measured)]
    if not whole.size:
        return np.zeros(len(measured))
    span = float(np.ptp(whole)) or 1.0
    return np.where(np.isfinite(measured), measured, whole.max() + span)
