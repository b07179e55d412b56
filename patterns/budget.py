"""The one place that enforces how much of the model must go, and that a pattern is legal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from patterns import listing
from patterns.decoder import Decoder
from patterns.demand import Demand
from patterns.errors import PatternError
from patterns.part import COSTS, Pattern
from patterns.space import PatternSpace

TOLERANCE = 0.005
"""A pattern meets R when it removes at least R minus this fraction of the decoder blocks' cost."""
SWITCHES_TRIED = 20
"""A random level switch may lead back to where it began this many times before there is none."""


@dataclass(frozen=True)
class Budget:
    """How much of the model must go; always hands out legal patterns that meet it.

    *Met*: removed at least ``remove`` minus 0.5% of the blocks' cost, and no single legal put-back still does.

    Attributes:
        space: the parts that can go, and which patterns are legal.
        remove: the fraction of the decoder blocks' cost that must go, in (0, 1).
        cost: name of the cost that is counted: ``params``, ``flops``, ``kv`` or ``latency``.

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
        if not self._blocks:
            raise PatternError(
                f"the budget cannot be met: nothing is known of the {self.cost} of these blocks"
                + ("; measure a table of times first" if self.cost == "latency" else "; choose another --cost")
            )
        most = self._demand.left[0]
        if most < self.need:
            raise PatternError(
                f"the budget cannot be met: --remove {self.remove} of the blocks' {self.cost} asks for more than the "
                f"unprotected parts hold ({most / self._blocks:.3f}); remove less or protect fewer parts"
            )
        if not listing.reachable(self._demand):
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

    @cached_property
    def need(self) -> float:
        """The least cost that must go."""
        return (self.remove - TOLERANCE) * self._blocks

    def enough(self, pattern: Pattern) -> bool:
        """Return whether a pattern removes enough, perhaps more than it must."""
        return self._demand.enough(pattern)

    def gone(self, pattern: Pattern) -> int:
        """Return the counted cost that a pattern removes."""
        return self._demand.gone(pattern)

    def met(self, pattern: Pattern) -> bool:
        """Return whether a pattern is legal, removes enough, and has no unit that can be put back."""
        return self._demand.met(pattern)

    def decode(self, preference: np.ndarray) -> Pattern:
        """Return the pattern in which what is preferred most leaves first, until the budget is met.

        Args:
            preference: float [parts]; a larger number leaves earlier. Protected parts' entries are ignored.

        Each further level of a part leaves in the order of its preference minus the level's price (``Part.price``):
        at equal preference all parts lose the same share of their importance. Every pattern that meets the budget is
        the decoding of some preference. Where legality couples parts, the pattern of the largest sum over what it
        removes is found exactly by a dynamic program; the sums are shifted so that removing more never pays.
        """
        keys = [x - prices for x, prices in zip(np.asarray(preference, float), self._prices, strict=True)]
        return self._decoder.decode(keys)

    def repair(self, pattern: Pattern, rng: np.random.Generator) -> Pattern:
        """Return a pattern brought to the budget: what it removes leaves first, the rest is chosen by ``rng``."""
        return self._decoder.decode(
            [
                (np.arange(1, part.top + 1) <= level)
                + np.sort(rng.uniform(0, 0.5 / len(pattern.levels), part.top))[::-1]
                for part, level in zip(self.space.parts, pattern.levels, strict=True)
            ]
        )

    def ranked(self, order: Sequence[np.ndarray]) -> Pattern:
        """Return the pattern in which levels leave by their own rank, those of a part one after the other.

        Args:
            order: per part, float [levels - 1]: what leaves first has the smallest number.
        """
        return self._decoder.decode([-np.maximum.accumulate(ranks) for ranks in order])

    def draw(self, rng: np.random.Generator) -> Pattern:
        """Return a random pattern that meets the budget: parts leave in random order."""
        return self.decode(rng.standard_normal(len(self.space.parts)))

    def move(self, pattern: Pattern, rng: np.random.Generator) -> Pattern:
        """Return a pattern a random level switch away that meets the budget; the pattern itself where there is none.

        One unit leaves and as many come back as then may, or one comes back and as many leave as then must (units
        of different cost trade one against several). Where the rule knows exchanges, a step begins with one of those.
        """
        space = self.space
        for _ in range(SWITCHES_TRIED):
            exchanged = space.legality.exchange(space.parts, space.free, pattern, rng)
            moved = exchanged or self._unit_away(pattern, rng)
            while not self.enough(moved):
                smaller = self._demand.removals(moved)
                moved = smaller[rng.integers(len(smaller))]
            while larger := self._demand.larger(moved):
                moved = larger[rng.integers(len(larger))]
            if moved != pattern:
                return moved
        return pattern

    def _unit_away(self, pattern: Pattern, rng: np.random.Generator) -> Pattern:
        """Return a random pattern one unit larger or smaller; the pattern itself where the side drawn has none."""
        neighbours = (self._demand.put_backs if rng.random() < 0.5 else self._demand.removals)(pattern)
        return neighbours[rng.integers(len(neighbours))] if neighbours else pattern

    def few(self, most: int) -> list[Pattern] | None:
        """Return every pattern that meets the budget, where there are at most ``most``; None where there are more.

        It also gives up, with None, where looking takes many times as long as listing so many.
        """
        return listing.few(self._demand, most)

    def patterns(self) -> Iterator[Pattern]:
        """Yield every pattern that meets the budget, in lexical order of the removed parts."""
        return listing.patterns(self._demand)

    @property
    def _blocks(self) -> int:
        """The counted cost of all decoder blocks."""
        return getattr(self.space.blocks, self.cost)

    @cached_property
    def _demand(self) -> Demand:
        return Demand(self.space, self.cost, self.need)

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder(self._demand)

    @cached_property
    def _prices(self) -> list[np.ndarray]:
        """Prices of the levels from 1 on, per part; float [levels - 1] each."""
        return [np.array(part.ladder) for part in self.space.parts]

    def _may_take_everything(self) -> bool:
        """Return whether a pattern without any block meets the budget; only grains that hold all blocks have one."""
        empty = Pattern(tuple(part.top for part in self.space.parts))
        return self.space.removed(empty).params == self.space.blocks.params and self.met(empty)
