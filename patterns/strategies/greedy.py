"""Greedy removal, one unit a step: SLEB for whole layers, BlockPruner for sub-blocks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from patterns.budget import Budget
from patterns.space import Pattern


class Greedy:
    """From the dense model, try every removal, keep the best, again until the budget is met.

    The steps on the way remove less than the budget asks; a step that removes more than enough is brought to
    the budget by putting back what is not needed. Under a rule that couples parts, one step removes the
    smallest set that leaves a legal pattern.

    Source: SLEB (arXiv 2402.09025), algorithm 1; BlockPruner (arXiv 2406.10594), iterative search. Both score
    by perplexity; here the search's own objective is used, and both protect what the space protects.
    """

    finishes = True
    effort = 1.0

    def __init__(self, budget: Budget, seed: int) -> None:
        self.budget = budget
        self._rng = np.random.default_rng(seed)
        self._kept = budget.space.dense
        self._step: dict[Pattern, float] = {}
        self._finished = False

    def ask(self) -> list[Pattern]:
        """Every legal removal from the pattern kept so far."""
        if self._finished:
            return []
        return list(dict.fromkeys(self._brought(p) for p in self.budget.space.removals(self._kept)))

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Keep the best removal; finished when it meets the budget."""
        self._step = dict(values)
        self._kept = min(values, key=lambda pattern: values[pattern])
        self._finished = self.budget.met(self._kept)

    def completion(self, values: Mapping[Pattern, float]) -> Pattern | None:
        """The pattern kept so far, completed in the order in which the removals of the last whole step ranked.

        Where the first step was not finished, what it measured is the ranking.
        """
        kept = np.array(self._kept.levels)
        preference = 2.0 * kept
        ranking = self._step or values
        worst_first = sorted(ranking, key=lambda pattern: -ranking[pattern])
        for rank, pattern in enumerate(worst_first, start=1):
            more = (np.array(pattern.levels) > 0) & (kept == 0)
            preference[more] = np.maximum(preference[more], rank / len(worst_first))
        return self.budget.decode(preference)

    def _brought(self, pattern: Pattern) -> Pattern:
        return self.budget.repair(pattern, self._rng) if self.budget.enough(pattern) else pattern
