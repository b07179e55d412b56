"""How much of a model must go, counted level by level."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from patterns.part import Pattern
from patterns.space import PatternSpace

REMEMBERED = 256
"""Patterns whose neighbours are remembered: random moves set out from the same few again and again."""
Neighbours = Callable[[Pattern], tuple[Pattern, ...]]
"""A legal pattern -> legal patterns one unit away."""


@dataclass(frozen=True)
class Demand:
    """The cost that patterns of a space must remove.

    Attributes:
        space: the patterns, and which of them are legal.
        cost: name of the cost that is counted.
        need: the least of it that must go.
    """

    space: PatternSpace
    cost: str
    need: float

    @cached_property
    def ladders(self) -> list[list[int]]:
        """The cost removed, per part and level; int [parts][levels]."""
        return [[getattr(removed, self.cost) for removed in part.removed] for part in self.space.parts]

    @cached_property
    def free(self) -> frozenset[int]:
        """Indices of the parts that may be removed."""
        return frozenset(self.space.free)

    @cached_property
    def left(self) -> list[int]:
        """The cost that the free parts from each index on can remove; int [parts + 1]."""
        most = [ladder[-1] if i in self.free else 0 for i, ladder in enumerate(self.ladders)]
        return np.cumsum([*most, 0][::-1])[::-1].tolist()

    def gone(self, pattern: Pattern) -> int:
        """Return the cost that a pattern removes."""
        return sum(ladder[level] for ladder, level in zip(self.ladders, pattern.levels, strict=True))

    def enough(self, pattern: Pattern) -> bool:
        """Return whether a pattern removes enough, perhaps more than it must."""
        return self.gone(pattern) >= self.need

    def met(self, pattern: Pattern) -> bool:
        """Return whether a pattern is legal, removes enough, and has no unit that can be put back."""
        return (
            self.space.legal(pattern)
            and self.enough(pattern)
            and not any(self.enough(larger) for larger in self.space.put_backs(pattern))
        )

    @cached_property
    def removals(self) -> Neighbours:
        """The patterns that keep one unit less than a legal one."""
        return _remembered(self.space.removals)

    @cached_property
    def put_backs(self) -> Neighbours:
        """The patterns that keep one unit more than a legal one."""
        return _remembered(self.space.put_backs)

    def larger(self, pattern: Pattern) -> list[Pattern]:
        """Return the patterns that keep one unit more than a legal one and still remove enough."""
        return [larger for larger in self.put_backs(pattern) if self.enough(larger)]


def _remembered(neighbours: Callable[[Pattern], Iterator[Pattern]]) -> Neighbours:
    return lru_cache(REMEMBERED)(lambda pattern: tuple(neighbours(pattern)))
