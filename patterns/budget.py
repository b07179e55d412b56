"""The one place that enforces how much of the model must go, and that a pattern is legal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from patterns import listing
from patterns.decoder import Decoder
from patterns.demand import Demand
from patterns.errors import PatternError
from patterns.feasible import asked_of, everything_goes, needs_of, refuse_ask, refuse_infeasible
from patterns.part import Pattern
from patterns.space import PatternSpace

SWITCHES_TRIED = 20
"""A random level switch may lead back to where it began this many times before there is none."""


@dataclass(frozen=True)
class Budget:
    """How much of the model must go; always hands out legal patterns that meet it.

    *Met*: removed at least what was asked of every cost, less 0.5% of the blocks', and within ``fit_in``; and no
    single legal put-back still is.

    Attributes:
        space: the parts that can go, and which patterns are legal.
        remove: the fraction of the decoder blocks' cost that must go, in (0, 1); or of several costs, by name; None
            where ``fit_in`` alone says how much.
        cost: name of the cost that a bare fraction counts: ``params``, ``flops``, ``kv`` or ``latency``.
        fit_in: bytes that the weights and the cache of the pruned model may take at most, where the space counts
            them; None for no limit.

    Raises:
        PatternError: a fraction outside (0, 1), an unknown cost, or more than legal patterns can remove together.
    """

    space: PatternSpace
    remove: float | Mapping[str, float] | None
    cost: str = "params"
    fit_in: int | None = None

    def __post_init__(self) -> None:
        refuse_ask(self.space, self.asked, self.fit_in)
        refuse_infeasible(self._demand, self.asked, self.fit_in)
        if self._may_take_everything():
            raise PatternError(everything_goes(self._demand, self.asked, self.fit_in))

    @cached_property
    def asked(self) -> dict[str, float]:
        """The fraction of the blocks that must go, of each cost of which one was asked."""
        return asked_of(self.remove, self.cost)

    @cached_property
    def seed_words(self) -> tuple[float | str, ...]:
        """What was asked as words from which a seed is made."""
        words = [word for cost, fraction in self.asked.items() for word in (fraction, cost)]
        return (*words, *(() if self.fit_in is None else ("fit", self.fit_in)))

    @property
    def need(self) -> float:
        """The least that must go, in the unit of the first cost; of several, ``gone`` weighs them so."""
        return next(iter(self._demand.needs.values()))

    def enough(self, pattern: Pattern) -> bool:
        """Return whether a pattern removes enough, perhaps more than it must."""
        return self._demand.enough(pattern)

    def gone(self, pattern: Pattern) -> float:
        """Return what a pattern removes, in the unit of the first cost.

        Of several costs it is the mean of their shares of what must go, times that of the first.
        """
        return self._weighed(self._demand.gone(pattern))

    def toward(self, pattern: Pattern) -> float:
        """Return how much of what must go a pattern removes: as ``gone``, without what is more than enough of a cost.

        It is ``need`` where the pattern removes enough.
        """
        if self.enough(pattern):
            return self.need
        return self._weighed([min(*pair) for pair in zip(self._demand.gone(pattern), self._needs, strict=True)])

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
                smaller = self._demand.nearer(moved)
                if not smaller:  # of several costs, the rule may leave no way on from here
                    moved = pattern
                    break
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

    @cached_property
    def _demand(self) -> Demand:
        return Demand(self.space, needs_of(self.space, self.asked, self.fit_in))

    @cached_property
    def _needs(self) -> list[float]:
        return list(self._demand.needs.values())

    def _weighed(self, amounts: Sequence[float]) -> float:
        """Add up amounts of the costs, each in the unit of the first; one alone is itself."""
        if len(amounts) == 1:
            return amounts[0]
        shares = [amount / need for amount, need in zip(amounts, self._needs, strict=True)]
        return self.need * sum(shares) / len(shares)

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
