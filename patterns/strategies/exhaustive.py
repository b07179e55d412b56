"""Exhaustive search: every pattern there is."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from patterns.budget import Budget
from patterns.part import Pattern

ROUND = 32
"""Patterns per round."""


class Exhaustive:
    """Asks for every pattern that meets the budget, in the budget's order, each found only when its round comes.

    Nothing is random in it. Stopped early, it has seen a corner of the space: it is for spaces that can be finished.
    """

    finishes = True
    fidelity = 1.0
    survivors: int | None = None

    def __init__(self, budget: Budget, seed: int) -> None:
        self._left = budget.patterns()

    def ask(self) -> list[Pattern]:
        """Return the next patterns; none when all were asked."""
        return list(islice(self._left, ROUND))

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Do nothing: values do not change the order."""

    def completions(self, values: Mapping[Pattern, float]) -> list[Pattern]:
        """Return none: every pattern asked meets the budget already."""
        return []
