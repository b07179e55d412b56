"""From keys, which say how soon each level should leave, to the pattern that removes enough."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from patterns.demand import Amounts, Demand
from patterns.part import Pattern


@dataclass(frozen=True)
class _Stage:
    """What a part may do: steps from the nodes before it to those after it, sorted by the node they lead to.

    A node is a state of the rule, and what is removed so far of every cost.

    Attributes:
        before: the node that each step sets out from, int [steps].
        level: the part's level, int [steps].
        after: the node that each step leads to, int [steps], ascending.
        starts: the first step to every node, int [nodes after].
    """

    before: np.ndarray
    level: np.ndarray
    after: np.ndarray
    starts: np.ndarray


class Decoder:
    """Finds the legal pattern that removes enough and whose removed levels have the largest keys.

    Args:
        demand: the costs that must go.
    """

    def __init__(self, demand: Demand) -> None:
        self.demand = demand

    def decode(self, keys: Sequence[np.ndarray]) -> Pattern:
        """Return the pattern in which levels of large keys leave.

        Args:
            keys: per part, float [levels - 1]; the keys of a part must not rise along its ladder.
        """
        couples = self.demand.space.legality.couples
        return self._put_back(self._best_coupled(keys) if couples else self._in_order(keys), keys)

    def _in_order(self, keys: Sequence[np.ndarray]) -> Pattern:
        """Return the pattern in which levels leave in the order of their keys until enough is gone.

        A level stays that holds nothing of a cost of which there is not enough yet.
        """
        demand, levels = self.demand, [0] * len(self.demand.space.parts)
        gone: Amounts = (0,) * len(demand.needs)
        steps = [(-key, i, level) for i in demand.space.free for level, key in enumerate(keys[i], start=1)]
        for _, i, level in sorted(steps):
            if demand.suffices(gone):
                break
            ladder = demand.ladders[i]
            further = tuple(map(_moved, gone, ladder[levels[i]], ladder[level]))
            if demand.is_nearer(further, gone):
                gone, levels[i] = further, level
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
        of every cost, only the one of the largest sum can be the beginning of the answer; of equal ones, the first.
        """
        stages, ends = self._graph
        largest = max(keys[i][0] for i in self.demand.space.free)
        # No value is above zero: removing more than is needed never pays.
        values = level_values([key - largest for key in keys])
        total, chosen = np.zeros(1), []
        for stage, value in zip(stages, values, strict=True):
            sums = total[stage.before] + np.array(value)[stage.level]
            total = np.maximum.reduceat(sums, stage.starts)
            best = np.flatnonzero(sums == total[stage.after])[::-1]
            step = np.empty(len(total), dtype=np.int64)
            step[stage.after[best]] = best  # backwards, so that the first of equal ones stays
            chosen.append(step)
        node, levels = int(np.argmax(np.where(ends, total, -np.inf))), []
        for stage, step in zip(reversed(stages), reversed(chosen), strict=True):
            levels.append(int(stage.level[step[node]]))
            node = int(stage.before[step[node]])
        return Pattern(tuple(reversed(levels)))

    @cached_property
    def _graph(self) -> tuple[list[_Stage], np.ndarray]:
        """The steps of every part, and which of the last nodes end a legal pattern that removes enough; bool [nodes].

        It is the same for all keys.
        """
        demand = self.demand
        rule, enough = demand.space.legality, tuple(map(math.ceil, demand.needs.values()))
        nodes: dict[tuple[Hashable, Amounts], int] = {(rule.start, (0,) * len(enough)): 0}
        stages = []
        for i, ladder in enumerate(demand.ladders):
            after: dict[tuple[Hashable, Amounts], int] = {}
            steps = []
            for (state, gone), node in nodes.items():
                if not demand.can_suffice(gone, i):
                    continue
                for level, reached in self._steps(i, state):
                    # How much more than enough is gone decides nothing that follows.
                    key = (reached, tuple(map(_capped, gone, ladder[level], enough)))
                    steps.append((node, level, after.setdefault(key, len(after))))
            before, levels, to = np.array(steps, dtype=np.int32).T
            order = np.argsort(to, kind="stable")
            starts = np.searchsorted(to[order], np.arange(len(after)))
            stages.append(_Stage(before[order], levels[order], to[order], starts))
            nodes = after
        return stages, np.array([rule.final(state) and demand.suffices(gone) for state, gone in nodes])

    def _steps(self, i: int, state: Hashable) -> list[tuple[int, Hashable]]:
        """Return the levels that part ``i`` may have in a state of the rule, each with the state it leads to."""
        rule, part = self.demand.space.legality, self.demand.space.parts[i]
        levels = rule.choices(state, part) if i in self.demand.free else (0,)
        reached = ((level, rule.step(state, part, level)) for level in levels)
        return [(level, after) for level, after in reached if after is not None]


def level_values(keys: Sequence[np.ndarray]) -> list[list[float]]:
    """Return, per part and level, the keys summed up to it over the ladder's length: a whole part counts as one."""
    return [[0.0, *(np.cumsum(key) / len(key)).tolist()] for key in keys]


def _moved(gone: int, before: int, after: int) -> int:
    return gone - before + after


def _capped(gone: int, removed: int, enough: int) -> int:
    return min(gone + removed, enough)
