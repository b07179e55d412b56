"""The one place that enforces how much of the model must go, and that a pattern is legal."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from patterns.errors import PatternError
from patterns.part import COSTS, Cost, Pattern
from patterns.space import PatternSpace

TOLERANCE = 0.005
"""A pattern meets R when it removes at least R minus this fraction of the decoder blocks' cost."""
SWITCHES_TRIED = 20
"""So often a random level switch may lead back to where it began before there is none."""
LOOKED_PER_PATTERN = 50
"""Patterns looked at for each one listed before a space counts as large."""


@dataclass(frozen=True)
class Budget:
    """How much of the model must go; always hands out legal patterns that meet it.

    *Met*: removed at least ``remove`` minus 0.5% of the blocks' cost, and no single legal put-back still does.

    Attributes:
        space: what can go, and which patterns are legal.
        remove: fraction of the decoder blocks' cost, in (0, 1).
        cost: which cost is counted: ``params``, ``flops``, ``kv`` or ``latency``.

    Raises:
        PatternError: ``remove`` outside (0, 1), an unknown cost, or more than the free parts hold.
    """

    space: PatternSpace
    remove: float
    cost: str = "params"

    def __post_init__(self) -> None:
        if not 0 < self.remove < 1:
            raise PatternError(f"--remove must lie between 0 and 1 (a fraction of the blocks), found {self.remove}")
        if self.cost not in COSTS:
            raise PatternError(f"cost {self.cost!r} is unknown; choose one of {', '.join(COSTS)}")
        if not self._of(self.space.blocks):
            raise PatternError(
                f"the budget cannot be met: nothing is known of the {self.cost} of these blocks"
                + ("; measure a table of times first" if self.cost == "latency" else "; choose another --cost")
            )
        most = sum(self._ladders[i][-1] for i in self.space.free)
        if most < self.need:
            raise PatternError(
                f"the budget cannot be met: --remove {self.remove} of the blocks' {self.cost} asks for more than the "
                f"unprotected parts hold ({most / self._of(self.space.blocks):.3f}); remove less or protect fewer parts"
            )
        if not self._reachable():
            kept = ", and keeps what is protected" if self.space.protected else ""
            raise PatternError(
                f"the budget cannot be met: no pattern that --deploy {self.space.deploy} allows removes {self.remove} "
                f"of the blocks' {self.cost}{kept}; remove less, or use --deploy any"
            )
        if self.need <= 0:
            raise PatternError(f"--remove {self.remove} asks for nothing: the tolerance is {TOLERANCE}; remove more")
        if self._may_take_everything():
            raise PatternError(
                f"the budget cannot be met: --remove {self.remove} of the blocks' {self.cost} may take every block of "
                "the model; remove less"
            )

    def _of(self, cost: Cost) -> int:
        return getattr(cost, self.cost)

    @cached_property
    def need(self) -> float:
        """The least cost that must go."""
        return (self.remove - TOLERANCE) * self._of(self.space.blocks)

    def enough(self, pattern: Pattern) -> bool:
        """Whether the pattern removes enough, perhaps more than it must."""
        return self.gone(pattern) >= self.need

    def gone(self, pattern: Pattern) -> int:
        """The counted cost that a pattern removes."""
        return sum(ladder[level] for ladder, level in zip(self._ladders, pattern.levels, strict=True))

    def met(self, pattern: Pattern) -> bool:
        """Whether the pattern is legal, removes enough, and nothing can be put back."""
        return (
            self.space.legal(pattern)
            and self.enough(pattern)
            and not any(self.enough(larger) for larger in self.space.put_backs(pattern))
        )

    def decode(self, preference: np.ndarray) -> Pattern:
        """The pattern in which what is preferred most leaves first, until the budget is met.

        Args:
            preference: float [parts]; a larger number leaves earlier. Protected parts' entries are ignored.

        Each further level of a part leaves in the order of its preference minus the level's price (``Part.price``):
        at equal preference all parts lose the same share of their importance. Every pattern that meets the budget is
        the decoding of some preference. Where legality couples parts, the pattern of the largest sum over what it
        removes is found exactly by a dynamic program; the sums are shifted so that removing more never pays.
        """
        return self._decode([x - prices for x, prices in zip(np.asarray(preference, float), self._prices, strict=True)])

    def repair(self, pattern: Pattern, rng: np.random.Generator) -> Pattern:
        """The pattern brought to the budget: what it removes leaves first, the rest is chosen by ``rng``."""
        return self._decode(
            [
                (np.arange(1, part.top + 1) <= level)
                + np.sort(rng.uniform(0, 0.5 / len(pattern.levels), part.top))[::-1]
                for part, level in zip(self.space.parts, pattern.levels, strict=True)
            ]
        )

    def ranked(self, order: list[np.ndarray]) -> Pattern:
        """The pattern in which levels leave by their own rank, those of a part one after the other.

        Args:
            order: a part, float [levels - 1]: what leaves first has the smallest number.
        """
        return self._decode([-np.maximum.accumulate(ranks) for ranks in order])

    def draw(self, rng: np.random.Generator) -> Pattern:
        """A random pattern that meets the budget: parts leave in random order."""
        return self.decode(rng.standard_normal(len(self.space.parts)))

    def move(self, pattern: Pattern, rng: np.random.Generator) -> Pattern:
        """A random level switch that meets the budget; the pattern itself where there is none.

        One unit leaves and as many come back as then may, or one comes back and as many leave as then must (units
        of different cost trade one against several).
        """
        for _ in range(SWITCHES_TRIED):
            first, second = self.space.removals, self.space.put_backs
            if rng.random() < 0.5:
                first, second = second, first
            found = list(first(pattern))
            moved = found[rng.integers(len(found))] if found else pattern
            while not self.enough(moved):
                removals = list(self.space.removals(moved))
                moved = removals[rng.integers(len(removals))]
            while larger := [p for p in self.space.put_backs(moved) if self.enough(p)]:
                moved = larger[rng.integers(len(larger))]
            if moved != pattern:
                return moved
        return pattern

    def few(self, most: int) -> list[Pattern] | None:
        """Every pattern that meets the budget, where there are at most ``most``; None where there are more.

        It also gives up, with None, where looking takes many times as long as listing so many.
        """
        found: list[Pattern] = []
        for looked, pattern in enumerate(self._candidates((), self.space.legality.start, 0)):
            if self.met(pattern):
                found.append(pattern)
            if len(found) > most or looked > LOOKED_PER_PATTERN * most:
                return None
        return found

    def patterns(self) -> Iterator[Pattern]:
        """Every pattern that meets the budget, in lexical order of the removed parts."""
        yield from filter(self.met, self._candidates((), self.space.legality.start, 0))

    # -- how

    def _decode(self, keys: list[np.ndarray]) -> Pattern:
        """The pattern in which levels of large keys leave; a part's keys must not rise along its ladder.

        Args:
            keys: a part, float [levels - 1].
        """
        pattern = self._best_coupled(keys) if self.space.legality.couples else self._in_order(keys)
        return self._put_back(pattern, keys)

    def _in_order(self, keys: list[np.ndarray]) -> Pattern:
        levels = [0] * len(self.space.parts)
        steps = [(-key, i, level) for i in self.space.free for level, key in enumerate(keys[i], start=1)]
        gone = 0
        for _, i, level in sorted(steps):
            if gone >= self.need:
                break
            gone += self._ladders[i][level] - self._ladders[i][level - 1]
            levels[i] = level
        return Pattern(tuple(levels))

    def _put_back(self, pattern: Pattern, keys: list[np.ndarray]) -> Pattern:
        """Undo what was not needed, least preferred first, until nothing more may come back."""
        value = _values(keys)
        while larger := [p for p in self.space.put_backs(pattern) if self.enough(p)]:
            pattern = max(larger, key=lambda p: sum(value[i][level] for i, level in enumerate(p.levels)))
        return pattern

    def _best_coupled(self, keys: list[np.ndarray]) -> Pattern:
        """Largest sum of the removed levels' keys, each over its ladder's length, among patterns that remove enough."""
        rule = self.space.legality
        best_key = max(keys[i][0] for i in self.space.free)
        value, enough = _values([key - best_key for key in keys]), math.ceil(self.need)
        best: dict[tuple[Hashable, int], tuple[float, _Chosen | None]] = {(rule.start, 0): (0.0, None)}
        for i, part in enumerate(self.space.parts):
            after: dict[tuple[Hashable, int], tuple[float, _Chosen | None]] = {}
            for (state, gone), (total, before) in best.items():
                if gone + self._left[i] < self.need:
                    continue
                for level in rule.choices(state, part) if i in self._free else (0,):
                    reached = rule.step(state, part, level)
                    if reached is None:
                        continue
                    # How much more than enough is gone decides nothing that follows.
                    key = (reached, min(gone + self._ladders[i][level], enough))
                    score = total + value[i][level]
                    if key not in after or score > after[key][0]:
                        after[key] = (score, (level, before))
            best = after
        ends = [found for (state, gone), found in best.items() if rule.final(state) and gone >= self.need]
        return Pattern(_levels(max(ends, key=lambda found: found[0])[1]))

    @cached_property
    def _ladders(self) -> list[list[int]]:
        """The counted cost each part has removed at each level."""
        return [[self._of(cost) for cost in part.removed] for part in self.space.parts]

    @cached_property
    def _free(self) -> frozenset[int]:
        return frozenset(self.space.free)

    @cached_property
    def _prices(self) -> list[np.ndarray]:
        """A part, the prices of its levels from 1 on."""
        return [np.array(part.ladder) for part in self.space.parts]

    def _reachable(self) -> bool:
        if not self.space.legality.couples:
            return True
        try:
            self._best_coupled([np.zeros(part.top) for part in self.space.parts])
        except ValueError:
            return False
        return True

    def _may_take_everything(self) -> bool:
        """Whether a pattern without any block meets the budget; only grains that hold all blocks have one."""
        empty = Pattern(tuple(part.top for part in self.space.parts))
        return self.space.removed(empty).params == self.space.blocks.params and self.met(empty)

    def _candidates(self, levels: tuple[int, ...], state: Hashable, gone: int) -> Iterator[Pattern]:
        """Legal patterns that remove enough, those among them from which something may come back included."""
        i = len(levels)
        if i == len(self.space.parts):
            if self.space.legality.final(state) and gone >= self.need:
                yield Pattern(levels)
            return
        if gone + self._left[i] < self.need:
            return
        part, couples = self.space.parts[i], self.space.legality.couples
        levels_left = range(part.top + 1) if i in self._free and (couples or gone < self.need) else range(1)
        # Either order soon meets patterns from which little may come back.
        for level in levels_left if couples else reversed(levels_left):
            reached = self.space.legality.step(state, part, level)
            if reached is not None:
                yield from self._candidates((*levels, level), reached, gone + self._ladders[i][level])

    @cached_property
    def _left(self) -> list[int]:
        """What the free parts from each index on could still remove; int [parts + 1]."""
        most = [ladder[-1] if i in self._free else 0 for i, ladder in enumerate(self._ladders)]
        return list(np.cumsum([*most, 0][::-1])[::-1])


_Chosen = tuple[int, Any]
"""The level of a part, and what was chosen for the parts before it; None before the first."""


def _levels(chosen: _Chosen | None) -> tuple[int, ...]:
    levels = []
    while chosen is not None:
        level, chosen = chosen
        levels.append(level)
    return tuple(reversed(levels))


def _values(keys: list[np.ndarray]) -> list[list[float]]:
    """A part, the summed keys of the levels up to each, over the ladder's length: a whole part counts as one."""
    return [[0.0, *(np.cumsum(key) / len(key)).tolist()] for key in keys]
