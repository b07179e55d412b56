"""The one place that enforces how much of the model must go, and that a pattern is legal."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from patterns.errors import PatternError
from patterns.space import COSTS, Cost, Pattern, PatternSpace

TOLERANCE = 0.005
"""A pattern meets R when it removes at least R minus this fraction of the decoder blocks' cost."""


@dataclass(frozen=True)
class Budget:
    """How much of the model must go; always hands out legal patterns that meet it.

    *Met*: removed at least ``remove`` minus 0.5% of the blocks' cost, and no single legal put-back still does.

    Attributes:
        space: what can go, and which patterns are legal.
        remove: fraction of the decoder blocks' cost, in (0, 1).
        cost: which cost is counted: ``params``, ``flops`` or ``kv``.

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
        most = sum(self._ladders[i][-1] for i in self.space.free)
        if most < self.need or not self._reachable():
            raise PatternError(
                f"the budget cannot be met: --remove {self.remove} of the blocks' {self.cost} asks for more than the "
                f"unprotected parts hold ({most / self._of(self.space.blocks):.3f}); remove less or protect fewer parts"
            )
        if self.need <= 0:
            raise PatternError(f"--remove {self.remove} asks for nothing: the tolerance is {TOLERANCE}; remove more")
        empty = Pattern(tuple(part.top for part in self.space.parts))
        if self.met(empty):
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
        return sum(ladder[level] for ladder, level in zip(self._ladders, pattern.levels, strict=True)) >= self.need

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

        Every pattern that meets the budget is the decoding of some preference: of one that is 1 on what it
        removes and 0 elsewhere. Where legality couples parts, the removed set of largest summed preference is
        found exactly by a dynamic program; preferences are shifted so that removing more never pays.
        """
        preference = np.asarray(preference, dtype=float)
        if self.space.legality.couples:
            pattern = self._best_coupled(preference - max(preference[i] for i in self.space.free))
        else:
            pattern = self._in_order(sorted(self.space.free, key=lambda i: -preference[i]))
        return self._put_back(pattern, preference)

    def repair(self, pattern: Pattern, rng: np.random.Generator) -> Pattern:
        """The pattern brought to the budget: what it removes leaves first, the rest is chosen by ``rng``."""
        wanted = np.array([level / part.top for level, part in zip(pattern.levels, self.space.parts, strict=True)])
        return self.decode(wanted + rng.uniform(0, 0.5 / len(wanted), len(wanted)))

    def draw(self, rng: np.random.Generator) -> Pattern:
        """A random pattern that meets the budget: parts leave in random order."""
        return self.decode(rng.standard_normal(len(self.space.parts)))

    def moves(self, pattern: Pattern) -> Iterator[Pattern]:
        """Every pattern one level switch away that meets the budget, each once.

        A switch removes one unit and puts back as many as then may come back, or puts back one and removes as
        many as then must go (units of different cost trade one against several).
        """
        seen = {pattern}
        for smaller in self.space.removals(pattern):
            yield from self._fill(smaller, self.space.put_backs, seen, grow=True)
        for larger in self.space.put_backs(pattern):
            yield from self._fill(larger, self.space.removals, seen, grow=False)

    def patterns(self) -> Iterator[Pattern]:
        """Every pattern that meets the budget, in lexical order of the removed parts."""
        yield from self._extend((), self.space.legality.start, 0)

    # -- how

    def _in_order(self, order: list[int]) -> Pattern:
        levels = [0] * len(self.space.parts)
        gone = 0
        for i in order:
            for level in range(1, self.space.parts[i].top + 1):
                if gone >= self.need:
                    return Pattern(tuple(levels))
                gone += self._ladders[i][level] - self._ladders[i][level - 1]
                levels[i] = level
        return Pattern(tuple(levels))

    def _put_back(self, pattern: Pattern, preference: np.ndarray) -> Pattern:
        """Undo what was not needed, least preferred first, until nothing more may come back."""
        while True:
            larger = [p for p in self.space.put_backs(pattern) if self.enough(p)]
            if not larger:
                return pattern
            pattern = min(larger, key=lambda p: _difference(pattern, p) @ preference)

    def _best_coupled(self, value: np.ndarray) -> Pattern:
        """Largest summed value of the removed levels among legal patterns that remove enough; values <= 0."""
        rule = self.space.legality
        best: dict[tuple[Hashable, int], tuple[float, tuple[int, ...]]] = {(rule.start, 0): (0.0, ())}
        for i, part in enumerate(self.space.parts):
            after: dict[tuple[Hashable, int], tuple[float, tuple[int, ...]]] = {}
            for (state, gone), (total, levels) in best.items():
                for level in range((part.top if i in self._free else 0) + 1):
                    reached = rule.step(state, part, level)
                    if reached is None:
                        continue
                    key = (reached, gone + self._ladders[i][level])
                    score = total + value[i] * level / part.top
                    if key not in after or score > after[key][0]:
                        after[key] = (score, (*levels, level))
            best = after
        ends = [found for (state, gone), found in best.items() if rule.final(state) and gone >= self.need]
        return Pattern(max(ends, key=lambda found: found[0])[1])

    @cached_property
    def _ladders(self) -> list[list[int]]:
        """The counted cost each part has removed at each level."""
        return [[self._of(cost) for cost in part.removed] for part in self.space.parts]

    @cached_property
    def _free(self) -> frozenset[int]:
        return frozenset(self.space.free)

    def _reachable(self) -> bool:
        if not self.space.legality.couples:
            return True
        try:
            self._best_coupled(np.zeros(len(self.space.parts)))
        except ValueError:
            return False
        return True

    def _fill(
        self, pattern: Pattern, units: Callable[[Pattern], Iterator[Pattern]], seen: set[Pattern], *, grow: bool
    ) -> Iterator[Pattern]:
        """Patterns that meet the budget, reached from ``pattern`` by the fewest ``units`` in every way."""
        front = {pattern}
        while front:
            following: set[Pattern] = set()
            for p in sorted(front, key=lambda q: q.levels):
                if self.met(p):
                    if p not in seen:
                        seen.add(p)
                        yield p
                elif grow:
                    following.update(q for q in units(p) if self.enough(q))
                elif not self.enough(p):
                    following.update(units(p))
            front = following

    def _extend(self, levels: tuple[int, ...], state: Hashable, gone: int) -> Iterator[Pattern]:
        i = len(levels)
        if i == len(self.space.parts):
            pattern = Pattern(levels)
            if self.space.legality.final(state) and gone >= self.need and self.met(pattern):
                yield pattern
            return
        if gone + self._left[i] < self.need:
            return
        part = self.space.parts[i]
        more = gone < self.need or self.space.legality.couples
        for level in range(part.top, -1, -1) if i in self._free and more else (0,):
            reached = self.space.legality.step(state, part, level)
            if reached is not None:
                yield from self._extend((*levels, level), reached, gone + self._ladders[i][level])

    @cached_property
    def _left(self) -> list[int]:
        """What the free parts from each index on could still remove; int [parts + 1]."""
        most = [ladder[-1] if i in self._free else 0 for i, ladder in enumerate(self._ladders)]
        return list(np.cumsum([*most, 0][::-1])[::-1])


def _difference(pattern: Pattern, larger: Pattern) -> np.ndarray:
    """Which levels come back; int [parts]."""
    return np.subtract(pattern.levels, larger.levels)
