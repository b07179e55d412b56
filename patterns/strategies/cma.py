"""CMA-ES over preferences: the search thinks in reals, the budget turns them into patterns."""

from __future__ import annotations

from collections.abc import Mapping

import cma
import numpy as np

from patterns.budget import Budget
from patterns.space import Pattern
from patterns.strategies.values import finite

SIGMA = 0.5
ELITE_SIGMA = 0.3
MOST_OFFSPRING = 64
OPTIONS = {
    # Discrete fitness is flat in places; pycma's stopping rules would end the search there (pycma #105, #296).
    "tolflatfitness": 1e6,
    "tolfun": 0,
    "tolfunhist": 0,
    "tolfunrel": 0,
    "tolx": 0,
    "tolstagnation": 10**9,
    "maxiter": np.inf,
    "maxfevals": np.inf,
    # Below this spread of a coordinate every offspring decodes to the same pattern.
    "minstd": 0.05,
    "verbose": -9,
    "verb_log": 0,
    "verb_disp": 0,
    "seed": np.nan,  # pycma must not seed the global generator
}


class CMA:
    """Covariance matrix adaptation over one preference a part, decoded by the budget.

    A preference lives on the scale of its part's prices, which lie in (0, 1) for every ladder: from no preference, one
    step size fits whole parts, heads and channels alike. Around a pattern, a part of many levels takes smaller steps.

    A generation that brings at most one new pattern has converged: the search restarts, every second time
    around the best pattern so far, else from no preference with a population half as large again.

    Source: Hansen, "The CMA Evolution Strategy: A Tutorial" (arXiv 1604.00772), by the pycma library.
    """

    finishes = False
    effort = 1.0
    keep = None

    def __init__(self, budget: Budget, seed: int) -> None:
        self.budget = budget
        self._rng = np.random.default_rng(seed)
        self._free = list(budget.space.free)
        self._values: dict[Pattern, float] = {}
        self._restarts = 0
        self._population = 4 + int(3 * np.log(len(self._free)))
        self._engine = self._fresh(np.zeros(len(self._free)), SIGMA)

    def ask(self) -> list[Pattern]:
        """One generation, decoded."""
        self._offspring = self._engine.ask()
        self._asked = [self._decode(x) for x in self._offspring]
        return self._asked

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Adapt, or restart when the generation brought nothing new."""
        new = sum(pattern not in self._values for pattern in set(self._asked))
        self._values.update(values)
        self._engine.tell(self._offspring, finite([values[p] for p in self._asked]).tolist())
        if new <= 1:
            self._restart()

    def completion(self, values: Mapping[Pattern, float]) -> Pattern | None:
        """Every pattern asked meets the budget already."""
        return None

    def _restart(self) -> None:
        self._restarts += 1
        if self._restarts % 2:
            best = min(self._values, key=lambda p: self._values[p])
            steps = np.array([self.budget.space.parts[i].top ** -0.5 for i in self._free])
            self._engine = self._fresh(self._around(best), ELITE_SIGMA, steps)
        else:
            self._population = min(int(1.5 * self._population), MOST_OFFSPRING)
            self._engine = self._fresh(np.zeros(len(self._free)), SIGMA)

    def _around(self, pattern: Pattern) -> np.ndarray:
        """Preferences that decode to a pattern: half-way between the price of each last level gone and the next."""
        around = []
        for i in self._free:
            part, level = self.budget.space.parts[i], pattern.levels[i]
            ladder = [part.ladder[0] - 1, *part.ladder, part.ladder[-1] + 1]
            around.append((ladder[level] + ladder[level + 1]) / 2)
        return np.array(around)

    def _fresh(self, start: np.ndarray, sigma: float, steps: np.ndarray | None = None) -> cma.CMAEvolutionStrategy:
        options = {**OPTIONS, "popsize": self._population, "randn": self._randn, "CMA_stds": steps}
        return cma.CMAEvolutionStrategy(start, sigma, options)

    def _randn(self, *shape: int) -> np.ndarray:
        return self._rng.standard_normal(shape)

    def _decode(self, x: np.ndarray) -> Pattern:
        preference = np.zeros(len(self.budget.space.parts))
        preference[self._free] = x
        return self.budget.decode(preference)
