"""A search that begins with patterns that are known to be good, such as those of a neighbouring budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from patterns.part import Pattern
from patterns.strategies import Strategy


@runtime_checkable
class Beginner(Protocol):
    """A strategy that knows what to do with patterns that were measured before its first round."""

    def begin_from(self, values: Mapping[Pattern, float]) -> None:
        """Take the values of some patterns that meet the budget; lower is better, infinity is a failed measurement."""


class Warm:
    """Asks for given patterns first, measured in full; then leaves everything to a strategy.

    They can be finalists as what the strategy asks for can. A strategy that is a ``Beginner`` goes on from them.

    Args:
        strategy: the strategy, which has not been asked yet.
        starts: the patterns to begin with; they meet the budget.
    """

    def __init__(self, strategy: Strategy, starts: Sequence[Pattern]) -> None:
        self.strategy, self._starts = strategy, list(starts)
        self._begins = bool(self._starts)
        self.finishes = strategy.finishes
        self.fidelity = 1.0
        self.survivors: int | None = None

    def ask(self) -> list[Pattern]:
        """Return the patterns to begin with, in full; then what the strategy asks for, measured as it says."""
        if self._begins:
            return list(self._starts)
        asked = self.strategy.ask()
        self.fidelity, self.survivors = self.strategy.fidelity, self.strategy.survivors
        return asked

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Hand the values to the strategy."""
        if not self._begins:
            self.strategy.tell(values)
            return
        self._begins = False
        if isinstance(self.strategy, Beginner):
            self.strategy.begin_from(values)

    def completions(self, values: Mapping[Pattern, float]) -> list[Pattern]:
        """Return what the strategy would."""
        return self.strategy.completions(values)
