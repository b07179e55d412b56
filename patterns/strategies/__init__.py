"""Search strategies: the protocol, and the table of all of them.

A strategy never checks a budget or a rule itself: it draws legal patterns from the ``Budget`` it is given.
It keeps no random state but its own, and what it asks depends on its seed and on what it was told alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from patterns.budget import Budget
from patterns.errors import PatternError
from patterns.space import Pattern


class Strategy(Protocol):
    """Proposes patterns, round by round.

    Example:
        >>> asked = strategy.ask()
        >>> strategy.tell({pattern: measure(pattern) for pattern in asked})
    """

    finishes: bool
    """Whether it ends by itself, without a limit."""
    effort: float
    """Share of the search sample on which the patterns last asked are to be measured, in (0, 1]."""

    def ask(self) -> list[Pattern]:
        """The patterns of the next round; an empty list when the strategy has finished.

        They may repeat what was asked before: the loop measures a pattern once.
        """

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """The values of the patterns just asked, lower is better; infinity for a failed measurement."""

    def completion(self, values: Mapping[Pattern, float]) -> Pattern | None:
        """A pattern that meets the budget, should nothing measured in full meet it when the search is stopped.

        Args:
            values: the last value of everything measured so far, the round in flight included.
        """


STRATEGIES: dict[str, str] = {
    "cma": "patterns.strategies.cma:CMA",
    "greedy": "patterns.strategies.greedy:Greedy",
    "random": "patterns.strategies.random:Random",
}
"""Name -> ``module:class``; a class is built with ``(budget, seed)``. Imported when used."""


def make_strategy(name: str, budget: Budget, seed: int) -> Strategy:
    """Build a strategy by name.

    Raises:
        PatternError: unknown name.
    """
    import importlib

    if name not in STRATEGIES:
        raise PatternError(f"strategy {name!r} is unknown; choose one of {', '.join(STRATEGIES)}")
    module, _, attribute = STRATEGIES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)(budget, seed)
