"""EvoPress' evolution by level switches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from patterns.budget import Budget
from patterns.errors import PatternError
from patterns.space import Pattern

MOST_OFFSPRING, FEWEST_OFFSPRING = 32, 8
TRIES = 10
PATIENCE = 20
SHARES = (1 / 16, 1 / 4, 1.0)
MOST_SWITCHES = 3
AT_START = -1


class Swap:
    finishes = False

    def __init__(self, budget: Budget, seed: int, *, patience: int = PATIENCE) -> None:
        if patience < 1:
            raise PatternError(f"patience must be at least 1 generation, found {patience}")
        self.budget = budget
        self.patience = patience
        self._rng = np.random.default_rng(seed)
        units = sum(budget.space.parts[i].top for i in budget.space.free)
        self._offspring = min(MOST_OFFSPRING, max(FEWEST_OFFSPRING, units // 2))
        self._survivors = (max(2, self._offspring // 4), max(1, self._offspring // 16))
        self._ranked: list[Pattern] = []
        self._known: set[Pattern] = set()
        self._start()

    def ask(self) -> list[Pattern]:
        """What is left of the offspring, for a larger share of the sample each time."""
        return self._asked

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Keep the best for the next step; after the last, the best is the next parent."""
        self._ranked = sorted(self._asked, key=lambda pattern: values[pattern])
        if self._step == AT_START:
            self._parent = self._ranked[0]
            self._breed()
        elif self._step < len(self._survivors):
            kept = self._ranked[: self._survivors[self._step]]
            self._select(kept if self._step + 1 < len(self._survivors) else [*kept, self._parent])
        else:
            self._known.update(self._asked)
            self._stuck = 0 if self._ranked[0] != self._parent else self._stuck + 1
            self._parent = self._ranked[0]
            if self._stuck < self.patience:
                self._breed()
            else:
                self._start()

    def completion(self, values: Mapping[Pattern, float]) -> Pattern | None:
        """The best of the last step that was finished, or of what was measured of the first."""
        return min(self._ranked or values, key=lambda pattern: values[pattern])

    def _start(self) -> None:
        drawn = [self.budget.draw(self._rng) for _ in range(2 * self._offspring)]
        self._stuck, self._step = 0, AT_START
        self._asked, self.effort = drawn, SHARES[0]

    def _breed(self) -> None:
        offspring: dict[Pattern, None] = {}
        for _ in range(TRIES * self._offspring):
            child = self._child()
            if child != self._parent and child not in self._known:
                offspring[child] = None
            if len(offspring) == self._offspring:
                break
        if not offspring:
            self._start()
            return
        self._step = -1
        self._select(list(offspring))
        

    def _select(self, patterns: list[Pattern]) -> None:
        self._step += 1
        self._asked, self.effort = patterns, SHARES[self._step]

    def _child(self) -> Pattern:
        child = self._parent
        for _ in range(self._rng.integers(1, MOST_SWITCHES + 1, 2).min()):
            child = self.budget.move(child, self._rng)
        return child
