"""Random search: the floor every other strategy must beat."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from patterns.budget import Budget
from patterns.part import Pattern

ROUND = 8
"""Patterns per round."""


class Random:
    """Draws patterns that meet the budget, parts leaving in random order."""

    finishes = False
    fidelity = 1.0
    survivors: int | None = None

    def __init__(self, budget: Budget, seed: int) -> None:
        self.budget = budget
        self._rng = np.random.default_rng(seed)

    def ask(self) -> list[Pattern]:
        """Return eight more draws."""
        return [self.budget.draw(self._rng) for _ in range(ROUND)]

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Do nothing: values do not change what is drawn."""

    def completions(self, values: Mapping[Pattern, float]) -> list[Pattern]:
        """Return none: every pattern asked meets the budget already."""
        return []
