"""CMA-ES over preferences: one engine that lives on, and is told what was measured."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import cma
import numpy as np

from patterns.budget import Budget
from patterns.part import Pattern
from patterns.strategies.sensitivities import by_effects, effects, preferences, probes

PYCMA_OPTIONS = {
    # Discrete fitness is flat in places; pycma's stopping rules would end the search there (pycma #105, #296).
    "tolflatfitness": 1e6,
    "tolfun": 0,
    "tolfunhist": 0,
    "tolfunrel": 0,
    "tolx": 0,
    "tolstagnation": 10**9,
    "verbose": -9,
    "verb_log": 0,
    "verb_disp": 0,
    "seed": np.nan,  # pycma must not seed the global generator
}
WIDENINGS = 8
"""Times the step size is doubled at most, where all offspring decode to one pattern."""


@dataclass(frozen=True)
class CMASettings:
    """Hyperparameters of the search.

    Attributes:
        sensitivities: whether the first round measures what parts cost when they leave alone, for the first mean.
        sensitivity_fidelity: share of the search sample on which that is measured.
        sigma: initial step size, in the unit of the prices.
        adapt: whether the covariance adapts; without, steps have the same size in all directions.
        patience: number of generations in a row without a better pattern after which the engine starts anew.
    """

    sensitivities: bool = True
    sensitivity_fidelity: float = 1 / 4
    sigma: float = 0.2
    adapt: bool = True
    patience: int = 12


class CMA:
    """Covariance matrix adaptation over one preference per part; every offspring is measured in full.

    One engine lives through the search: its mean begins at what the parts cost when they leave alone, the best pattern
    is injected where a generation lost it, and it is told the values measured. It starts anew, from the best pattern
    and from a random one by turns, when some generations in a row brought nothing better.

    A preference lives on the scale of its part's prices, which lie in (0, 1) for every ladder: one step size fits
    whole parts, heads and channels alike; a part of many levels takes smaller steps. Many preferences decode to one
    pattern and so have one value: among those, the nearer to the middle of what decodes to it counts as better.

    Source: Hansen, "The CMA Evolution Strategy: A Tutorial" (arXiv 1604.00772), by the pycma library; injection as in
    Hansen, "Injecting external solutions into CMA-ES" (arXiv 1110.4181).
    """

    finishes = False
    survivors: int | None = None
    """All that is measured teaches the engine."""

    def __init__(self, budget: Budget, seed: int, *, settings: CMASettings | None = None) -> None:
        self.budget = budget
        self.settings = settings or CMASettings()
        self._rng = np.random.default_rng(seed)
        self._free = list(budget.space.free)
        self._best: tuple[float, Pattern] | None = None
        self._starts = 0
        self._offspring: list[np.ndarray] = []
        self._population: list[Pattern] = []
        self._probes = probes(budget.space) if self.settings.sensitivities else []
        self.fidelity = self.settings.sensitivity_fidelity if self._probes else 1.0
        self._asked = self._probes
        if not self._probes:
            self._start(self._middles(budget.draw(self._rng)))

    def ask(self) -> list[Pattern]:
        """Return the removals that tell what parts cost; then the offspring of each generation."""
        return self._asked

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Tell the engine the values, and sample the next generation."""
        if self._asked is self._probes:
            self.fidelity = 1.0
            self._start(preferences(self.budget, effects(self.budget.space, values))[self._free])
            return
        self._note(values)
        self._teach(self._ranks(values))
        self._next()

    def begin_from(self, values: Mapping[Pattern, float]) -> None:
        """Take the best of these for the best so far, which is injected into the next generation."""
        self._note(values)

    def completions(self, values: Mapping[Pattern, float]) -> list[Pattern]:
        """Return what the sensitivities measured so far would choose."""
        return [by_effects(self.budget, effects(self.budget.space, values))]

    # -- generations

    def _start(self, mean: np.ndarray) -> None:
        """Begin with a new engine around some preferences, float [free parts]."""
        self._starts += 1
        self._stuck = 0
        steps = np.array([self.budget.space.parts[i].top ** -0.5 for i in self._free])
        # pycma knows no single dimension: a second one that decides nothing.
        spare = max(0, 2 - len(mean))
        options = {
            **PYCMA_OPTIONS,
            "randn": self._randn,
            "CMA_stds": np.pad(steps, (0, spare), constant_values=1.0),
            "CMA_on": float(self.settings.adapt),
        }
        self._engine = cma.CMAEvolutionStrategy(np.pad(mean, (0, spare)), self.settings.sigma, options)
        self._sample()

    def _next(self) -> None:
        """Sample the next generation, or start anew where the last ones brought nothing."""
        if self._stuck >= self.settings.patience:
            from_best = self._best is not None and self._starts % 2
            self._start(self._middles(self._best[1] if from_best and self._best else self.budget.draw(self._rng)))
            return
        self._sample()

    def _sample(self) -> None:
        """Sample offspring, and ask for what they decode to."""
        if self._best is not None and self._best[1] not in self._population:
            middle = self._middles(self._best[1])
            self._engine.inject([np.pad(middle, (0, self._engine.N - len(middle)))])
        for _ in range(WIDENINGS):
            self._offspring = self._engine.ask()
            self._population = self._asked = [self._decode(x) for x in self._offspring]
            if len(set(self._asked)) > 1:
                break
            # A generation of one pattern tells nothing.
            self._engine.sigma *= 2

    def _teach(self, values: list[float]) -> None:
        """Tell the engine the values of its offspring."""
        with warnings.catch_warnings():
            # Injected into a generation that was sampled again.
            warnings.simplefilter("ignore", cma.evolution_strategy.InjectionWarning)
            self._engine.tell(self._offspring, values)

    def _note(self, values: Mapping[Pattern, float]) -> None:
        """Remember the best pattern, and count the generations without a better one."""
        best = min(values, key=lambda pattern: values[pattern])
        better = np.isfinite(values[best]) and (self._best is None or values[best] < self._best[0])
        self._stuck = 0 if better else self._stuck + 1
        if better:
            self._best = (values[best], best)

    def _ranks(self, values: Mapping[Pattern, float]) -> list[float]:
        """Return the rank of each offspring: by value, and among equals by the distance from the pattern's middle.

        CMA-ES sees ranks alone, so that they are as good as values, a failed measurement included.
        """
        keys = []
        for x, pattern in zip(self._offspring, self._population, strict=True):
            keys.append((values[pattern], float(np.linalg.norm(x[: len(self._free)] - self._middles(pattern)))))
        order = sorted(range(len(keys)), key=lambda i: keys[i])
        return [float(rank) for rank in np.argsort(order, kind="stable")]

    # -- preferences

    def _middles(self, pattern: Pattern) -> np.ndarray:
        """Return preferences that decode to a pattern, float [free parts].

        Each is half-way between the price of the part's last level gone and the next.
        """
        middles = []
        for i in self._free:
            part, level = self.budget.space.parts[i], pattern.levels[i]
            ladder = [part.ladder[0] - 1, *part.ladder, part.ladder[-1] + 1]
            middles.append((ladder[level] + ladder[level + 1]) / 2)
        return np.array(middles)

    def _decode(self, x: np.ndarray) -> Pattern:
        preference = np.zeros(len(self.budget.space.parts))
        preference[self._free] = x[: len(self._free)]
        return self.budget.decode(preference)

    def _randn(self, *shape: int) -> np.ndarray:
        return self._rng.standard_normal(shape)
