"""From keys, which say how soon each level should leave, to the pattern that removes enough."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from patterns.demand import Demand
from patterns.part import Pattern

_Chosen = tuple[int, Any]
"""The level of a part, and what was chosen for the parts before it; None before the first."""
_Best = dict[tuple[Hashable, int], tuple[float, _Chosen | None]]
"""The rule's state and the cost removed so far -> the largest sum of keys that leads there, and the levels chosen."""


class Decoder:
    """Finds the legal pattern that removes enough and whose removed levels have the largest keys.

    Args:
        demand: the cost that must go.
    """

    def __init__(self, demand: Demand) -> None:
        self.demand = demand
        self._successors: dict[tuple[int, Hashable], list[tuple[int, Hashable]]] = {}

    def decode(self, keys: Sequence[np.ndarray]) -> Pattern:
        """Return the pattern in which levels of large keys leave.

        Args:
            keys: per part, float [levels - 1]; the keys of a part must not rise along its ladder.
        """
        couples = self.demand.space.legality.couples
        return self._put_back(self._best_coupled(keys) if couples else self._in_order(keys), keys)

    def _in_order(self, keys: Sequence[np.ndarray]) -> Pattern:
        """Return the pattern in which levels leave in the order of their keys until enough is gone."""
        demand, levels, gone = self.demand, [0] * len(self.demand.space.parts), 0
        steps = [(-key, i, level) for i in demand.space.free for level, key in enumerate(keys[i], start=1)]
        for _, i, level in sorted(steps):
            if gone >= demand.need:
                break
            gone += demand.ladders[i][level] - demand.ladders[i][level - 1]
            levels[i] = level
        return Pattern(tuple(levels))

    def _put_back(self, pattern: Pattern, keys: Sequence[np.ndarray]) -> Pattern:
        """Return the pattern with what was not needed put back, smallest keys first."""
        values = level_values(keys)
        while larger := self.demand.larger(pattern):
            pattern = max(larger, key=lambda p: sum(values[i][level] for i, level in enumerate(p.levels)))
        return pattern

    def _best_coupled(self, keys: Sequence[np.ndarray]) -> Pattern:
        """Return the legal pattern of the largest sum of values, among those that remove enough.

        A dynamic program over the parts: of all beginnings that leave the rule in one state and have removed the same
        cost, only the one of the largest sum can be the beginning of the answer.
        """
        demand = self.demand
        rule, need, enough = demand.space.legality, demand.need, math.ceil(demand.need)
        largest = max(keys[i][0] for i in demand.space.free)
        # No value is above zero: removing more than is needed never pays.
        values = level_values([key - largest for key in keys])
        best: _Best = {(rule.start, 0): (0.0, None)}
        for i, (value, ladder) in enumerate(zip(values, demand.ladders, strict=True)):
            after: _Best = {}
            for (state, gone), (total, before) in best.items():
                if gone + demand.left[i] < need:
                    continue
                for level, reached in self._steps(i, state):
                    # How much more than enough is gone decides nothing that follows.
                    key = (reached, min(gone + ladder[level], enough))
                    score = total + value[level]
                    if key not in after or score > after[key][0]:
                        after[key] = (score, (level, before))
            best = after
        ends = [end for (state, gone), end in best.items() if rule.final(state) and gone >= need]
        return Pattern(_levels(max(ends, key=lambda end: end[0])[1]))

    def _steps(self, i: int, state: Hashable) -> list[tuple[int, Hashable]]:
        """Return the levels that part ``i`` may have in a state of the rule, each with the state it leads to."""
        # The same for all keys, and asked for by each decoding: remembered.
        known = self._successors.get((i, state))
        if known is None:
            rule, part = self.demand.space.legality, self.demand.space.parts[i]
            levels = rule.choices(state, part) if i in self.demand.free else (0,)
            reached = ((level, rule.step(state, part, level)) for level in levels)
            known = [(level, after) for level, after in reached if after is not None]
            self._successors[i, state] = known
        return known


def level_values(keys: Sequence[np.ndarray]) -> list[list[float]]:
    """Return, per part and level, the keys summed up to it over the ladder's length: a whole part counts as one."""
    return [[0.0, *(np.cumsum(key) / len(key)).tolist()] for key in keys]


def _levels(chosen: _Chosen | None) -> tuple[int, ...]:
    """Return the levels that were chosen, first part first."""
    levels = []
    while chosen is not None:
        level, chosen = chosen
        levels.append(level)
    return tuple(reversed(levels))
