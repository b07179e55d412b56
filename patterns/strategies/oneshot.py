"""One ranking, one pattern, no search."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from patterns.budget import Budget
from patterns.part import Pattern
from patterns.strategies.sensitivities import by_effects, finite, probes


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

    def completions(self, values: Mapping[Pattern, float]) -> list[Pattern]:
        """Return the pattern that what was measured so far ranks; what was not measured leaves last."""
        return [self._by_sensitivity(values)] if self._probes else []

    def _by_sensitivity(self, values: Mapping[Pattern, float]) -> Pattern:
        """Return the pattern whose levels cost least by the probes, as if no part minded what else is gone."""
        measured = finite([values.get(probe, np.inf) for probe in self._probes])
        cost = np.zeros(len(self.budget.space.parts))
        for i in range(len(cost)):
            of_part = [x for probe, x in zip(self._probes, measured, strict=True) if probe.levels[i]]
            cost[i] = np.mean(of_part) if of_part else 0.0
        return by_effects(self.budget, cost)
