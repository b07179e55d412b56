"""DarwinLM's evolution: switches of levels within a kind, few survivors on more and more text."""

from __future__ import annotations

import numpy as np

from patterns.budget import Budget
from patterns.part import Pattern
from patterns.strategies.swap import Swap, SwapSettings

STEPS = ((1 / 8, 8), (1 / 4, 4), (1 / 2, 2), (1.0, 1))
"""The steps of a selection: share of the search sample, and number of survivors."""
OFFSPRING = 16
"""Offspring of a generation."""
PATIENCE = 5
"""Generations in a row without a better parent after which the search starts anew."""
TRIES = 32
"""Switches that are drawn before one of any kind is taken."""


class Darwin(Swap):
    """Evolves one parent by 16 offspring per generation; 8, 4, 2 and 1 of them survive the steps of a selection.

    DarwinLM's are: the steps; switches that lower one part's level by one and raise another's of the same kind, the
    kind in proportion to its parts; min(U{1..3}, U{1..3}) of them an offspring; none twice, and not the parent; and
    the parent in the last step alone. In a search by evop every pattern is trained a little before it is measured, on
    more text in each step (``evop.recovery.tuning``); this class knows nothing of that.

    Ours are: a start by the importance of the units (DarwinLM: every part at the same level), for whole parts have no
    such level; a switch of another kind where the space holds none within one; and a new start, from the best of 16
    random patterns, when the parent has outlived five generations. It never ends by itself.

    Source: DarwinLM (arXiv 2502.07780), section 3 and its code.
    """

    def __init__(self, budget: Budget, seed: int) -> None:
        super().__init__(budget, seed, patience=PATIENCE, settings=SwapSettings(STEPS, offspring=OFFSPRING))
        self._starts = 0

    def _first(self) -> list[Pattern]:
        self._starts += 1
        if self._starts == 1:
            return [self.budget.decode(np.zeros(len(self.budget.space.parts)))]
        return [self.budget.draw(self._rng) for _ in range(OFFSPRING)]

    def _switched(self, pattern: Pattern) -> Pattern:
        """Return a pattern in which a part has one level less and another of its kind one more."""
        space = self.budget.space
        for _ in range(TRIES):
            more, less = (int(at) for at in self._rng.choice(space.free, 2))
            one, other = space.parts[more], space.parts[less]
            if more == less or one.kind != other.kind or pattern.levels[more] == one.top or not pattern.levels[less]:
                continue
            switched = pattern.with_level(more, pattern.levels[more] + 1).with_level(less, pattern.levels[less] - 1)
            if space.legal(switched) and self.budget.met(switched):
                return switched
        return super()._switched(pattern)
