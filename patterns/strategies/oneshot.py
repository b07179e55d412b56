"""One ranking, one pattern, no search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from patterns.budget import Budget
from patterns.part import Pattern
from patterns.space import PatternSpace
from patterns.strategies.surrogate import shares


class OneShot:
    """Removes what a metric ranks lowest, all at once.

    Where every part that may go has ``scores``, one global ranking over all levels of all parts decides, and only
    its pattern is measured: block influence for whole parts is ShortGPT's, standardised fluctuations for heads and
    channels with one threshold for the model are FLAP's.

    Where some have none, each removal is measured alone, then the pattern that their ranking gives, as Shortened
    LLaMA does with whole layers by perplexity. Ours are: the search's own objective, divided by the cost that
    leaves (there all blocks cost the same); no layers protected but those the space protects; a ladder is measured
    at its last level, the whole part gone, because a first level too small to hurt says nothing of the rest, and
    the loss is spread over its levels by their prices. Where legality couples parts, the smallest legal removals
    are measured, a part counts as the mean of those it is in, and the budget picks the legal pattern of the
    smallest sum.

    Nothing is random in it.

    Source: ShortGPT (arXiv 2403.03853), section 3; FLAP (arXiv 2312.11983), adaptive structure search;
    Shortened LLaMA (arXiv 2402.02834), perplexity criterion.
    """

    finishes = True
    fidelity = 1.0
    survivors: int | None = None

    def __init__(self, budget: Budget, seed: int) -> None:
        self.budget = budget
        space = budget.space
        scored = all(space.parts[i].scores for i in space.free)
        self._probes = [] if scored else probes(space)
        order = [np.array(part.scores or (0.0,) * part.top) for part in space.parts]
        self._asked = self._probes or [budget.ranked(order)]

    def ask(self) -> list[Pattern]:
        """Return the removals to rank by, if any; then the one pattern."""
        return self._asked

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Rank what was measured; finish when that was the one pattern."""
        self._asked = [self._by_sensitivity(values)] if self._asked is self._probes else []

    def completion(self, values: Mapping[Pattern, float]) -> Pattern | None:
        """Return the pattern that what was measured so far ranks; what was not measured leaves last."""
        return self._by_sensitivity(values) if self._probes else None

    def _by_sensitivity(self, values: Mapping[Pattern, float]) -> Pattern:
        """Return the pattern whose levels cost least by the probes, as if no part minded what else is gone."""
        measured = _finite([values.get(probe, np.inf) for probe in self._probes])
        order = []
        for i, part in enumerate(self.budget.space.parts):
            of_part = [x for probe, x in zip(self._probes, measured, strict=True) if probe.levels[i]]
            steps = np.diff(shares(part)) * (np.mean(of_part) if of_part else 0.0)
            # Coupled, the budget weighs a ladder by its length, and the rule settles the costs.
            order.append(steps * part.top if self.budget.space.legality.couples else steps / self._costs(i))
        return self.budget.ranked(order)

    def _costs(self, part: int) -> np.ndarray:
        """Return the cost each level of a part removes beyond the one before, at least 1; int [levels - 1]."""
        dense, top = self.budget.space.dense, self.budget.space.parts[part].top
        return np.maximum(1, np.diff([self.budget.gone(dense.with_level(part, level)) for level in range(top + 1)]))


def probes(space: PatternSpace) -> list[Pattern]:
    """Return each part gone alone, where that is legal anywhere; else every smallest removal."""
    wholes = [space.dense.with_level(i, space.parts[i].top) for i in space.free]
    return [pattern for pattern in wholes if space.legal(pattern)] or list(space.removals(space.dense))


def _finite(values: Sequence[float]) -> np.ndarray:
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
