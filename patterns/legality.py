"""Which patterns a deployment allows: small automata that read a pattern part by part.

A rule starts in ``start``, reads the level of each part in model order, and accepts in a ``final`` state.
Checking, enumeration and the budget's dynamic program all run on the same automaton, so they cannot disagree.
A rule also knows its units: the smallest steps from one legal pattern to another.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from patterns.part import Part, Pattern


class Legality(Protocol):
    """A rule over the levels of all parts."""

    couples: bool
    """Whether one part's level restricts another's."""
    start: Hashable

    def step(self, state: Hashable, part: Part, level: int) -> Hashable | None:
        """Return the state after one more part, or None where the pattern is already illegal."""

    def choices(self, state: Hashable, part: Part) -> Iterable[int]:
        """Return levels that may be legal for the next part; every legal one is among them."""

    def final(self, state: Hashable) -> bool:
        """Return whether a pattern may end in this state."""

    def units(self, parts: Sequence[Part], free: Sequence[int], pattern: Pattern, direction: int) -> Iterator[Pattern]:
        """Yield the legal patterns that are one unit away from a legal one.

        Args:
            parts: the parts of the space, in model order.
            free: indices of the parts that may be removed; the others stay dense.
            pattern: a legal pattern.
            direction: +1 to remove a unit, -1 to put one back.
        """

    def exchange(
        self, parts: Sequence[Part], free: Sequence[int], pattern: Pattern, rng: np.random.Generator
    ) -> Pattern | None:
        """Return a random step that neither removes a unit nor puts one back; None where the rule knows no such."""


def accepts(rule: Legality, parts: Sequence[Part], pattern: Pattern) -> bool:
    """Return whether a rule accepts a pattern whose levels its parts have."""
    state: Hashable | None = rule.start
    for part, level in zip(parts, pattern.levels, strict=True):
        state = rule.step(state, part, level)
        if state is None:
            return False
    return rule.final(state)


class UnitsAlone:
    """A rule whose patterns are reached from each other by its units alone."""

    def exchange(
        self, parts: Sequence[Part], free: Sequence[int], pattern: Pattern, rng: np.random.Generator
    ) -> Pattern | None:
        """Return None."""
        return None


class Free(UnitsAlone):
    """The rule that accepts every pattern."""

    couples = False
    start: Hashable = "free"

    def step(self, state: Hashable, part: Part, level: int) -> Hashable | None:
        """Return the only state there is."""
        return state

    def choices(self, state: Hashable, part: Part) -> Iterable[int]:
        """Return all levels of the part."""
        return range(part.top + 1)

    def final(self, state: Hashable) -> bool:
        """Return True: a pattern may end anywhere."""
        return True

    def units(self, parts: Sequence[Part], free: Sequence[int], pattern: Pattern, direction: int) -> Iterator[Pattern]:
        """Yield patterns with one part one level further."""
        for i in free:
            level = pattern.levels[i] + direction
            if 0 <= level <= parts[i].top:
                yield pattern.with_level(i, level)
