"""How much of a model must go, counted level by level; of one cost, or of several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from patterns.part import Pattern
from patterns.space import PatternSpace

REMEMBERED = 256
"""Patterns whose neighbours are remembered: random moves set out from the same few again and again."""
Neighbours = Callable[[Pattern], tuple[Pattern, ...]]
"""A legal pattern -> legal patterns one unit away."""
Amounts = tuple[int, ...]
"""How much of each counted cost is removed, in the order of ``Demand.needs``."""


@dataclass(frozen=True)
class Demand:
    """The costs that patterns of a space must remove.

    Attributes:
        space: the patterns, and which of them are legal.
        needs: name of each cost that is counted -> the least of it that must go.
    """

    space: PatternSpace
    needs: Mapping[str, float]

    @cached_property
    def ladders(self) -> list[list[Amounts]]:
        """What is removed, per part and level; int [parts][levels][costs]."""
        return [
            [tuple(getattr(removed, cost) for cost in self.needs) for removed in part.removed]
            for part in self.space.parts
        ]

    @cached_property
    def free(self) -> frozenset[int]:
        """Indices of the parts that may be removed."""
        return frozenset(self.space.free)

    @cached_property
    def left(self) -> list[Amounts]:
        """What the free parts from each index on can remove; int [parts + 1][costs]."""
        nothing = (0,) * len(self.needs)
        most = [ladder[-1] if i in self.free else nothing for i, ladder in enumerate(self.ladders)]
        return [tuple(row) for row in np.cumsum([*most, nothing][::-1], axis=0)[::-1].tolist()]

    def gone(self, pattern: Pattern) -> Amounts:
        """Return what a pattern removes, cost by cost."""
        levels = pattern.levels
        return tuple(
            sum([ladder[level] for ladder, level in zip(ladders, levels, strict=True)]) for ladders in self._by_cost
        )

    def suffices(self, gone: Amounts) -> bool:
        """Return whether these amounts are enough of every cost."""
        return all(amount >= need for amount, need in zip(gone, self.needs.values(), strict=True))

    def can_suffice(self, gone: Amounts, part: int) -> bool:
        """Return whether these amounts and all that the parts from an index on hold would be enough."""
        return all(
            amount + left >= need for amount, left, need in zip(gone, self.left[part], self.needs.values(), strict=True)
        )

    def enough(self, pattern: Pattern) -> bool:
        """Return whether a pattern removes enough of every cost, perhaps more than it must."""
        levels = pattern.levels
        for ladders, need in zip(self._by_cost, self.needs.values(), strict=True):
            if sum([ladder[level] for ladder, level in zip(ladders, levels, strict=True)]) < need:
                return False
        return True

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

    def nearer(self, pattern: Pattern) -> tuple[Pattern, ...]:
        """Return the patterns that keep one unit less than a legal one.

        Of several costs, only those that remove more of one of which there is not enough, where there are such.
        """
        removals = self.removals(pattern)
        if len(self.needs) == 1:
            return removals
        gone = self.gone(pattern)
        return tuple(p for p in removals if self.is_nearer(self.gone(p), gone)) or removals

    def is_nearer(self, gone: Amounts, before: Amounts) -> bool:
        """Return whether more is gone than before of a cost of which there was not enough."""
        needs = self.needs.values()
        return any(now > was < need for now, was, need in zip(gone, before, needs, strict=True))

    @cached_property
    def _by_cost(self) -> list[list[list[int]]]:
        """What is removed, per cost, part and level: counting one cost at a time is what every neighbour needs."""
        return [[[amounts[c] for amounts in ladder] for ladder in self.ladders] for c in range(len(self.needs))]


def _remembered(neighbours: Callable[[Pattern], Iterator[Pattern]]) -> Neighbours:
    return lru_cache(REMEMBERED)(lambda pattern: tuple(neighbours(pattern)))
