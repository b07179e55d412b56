"""CMA-ES over preferences, guided by what was measured: a surrogate screens, level switches refine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import cma
import numpy as np

from patterns.budget import Budget
from patterns.part import Pattern
from patterns.strategies.oneshot import probes
from patterns.strategies.surrogate import Surrogate, SurrogateSettings

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


@dataclass(frozen=True)
class CMASettings:
    """Hyperparameters of the search.

    Attributes:
        sensitivities: whether the first round measures every part gone alone.
        initial_random: number of random patterns in the first round, per free part; at least 4 patterns.
        low_fidelity: share of the search sample on which patterns are measured first.
        min_low_fidelity: number of patterns per generation measured on that share, at least.
        max_low_fidelity: number of patterns per generation measured on that share, at most; in between it is a third
            of the units that can go.
        full_fidelity: number of patterns per generation measured in full.
        confidence_betas: standard deviations that a pattern may be better than predicted, for the first chosen of a
            generation, the second, and so on, and from the start again.
        random_candidates: number of random patterns among the candidates of each generation: no corner of a space is
            out of reach.
        cma_generations: generations CMA-ES runs on the surrogate for one generation that is measured; 0 for none.
        sigma: initial step size of CMA-ES, in the unit of the prices.
        incumbents: number of patterns of the best predicted value around which switches are tried.
        switches_per_incumbent: number of patterns tried around each incumbent per generation.
        max_switches: number of level switches that such a pattern is away at most.
        hill_climb_rounds: rounds of further switches from the most promising candidates.
        hill_climb_starts: number of candidates per round that further switches set out from.
        hill_climb_switches: number of patterns tried one switch away from each of those.
        surrogate: hyperparameters of the Gaussian process.
    """

    sensitivities: bool = True
    initial_random: float = 0.5
    low_fidelity: float = 1 / 4
    min_low_fidelity: int = 4
    max_low_fidelity: int = 8
    full_fidelity: int = 3
    confidence_betas: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    random_candidates: int = 8
    cma_generations: int = 4
    sigma: float = 0.3
    incumbents: int = 4
    switches_per_incumbent: int = 30
    max_switches: int = 3
    hill_climb_rounds: int = 2
    hill_climb_starts: int = 6
    hill_climb_switches: int = 10
    surrogate: SurrogateSettings = field(default_factory=SurrogateSettings)


class CMA:
    """Covariance matrix adaptation over one preference per part, on a surrogate; what it brings is measured in steps.

    The first round measures every part gone alone at low fidelity, and random patterns half as many as there are parts.
    From then on a generation is: fit the surrogate to everything measured; gather candidates, which are what CMA-ES
    samples on the surrogate around the incumbent, level switches around the incumbents and around the best candidates,
    and some random patterns; measure the 4 to 8 that promise most at low fidelity; of all that was so measured, measure
    the 3 in full that promise most now. A pattern promises its predicted value less some standard deviations.

    A preference lives on the scale of its part's prices, which lie in (0, 1) for every ladder: one step size fits
    whole parts, heads and channels alike; a part of many levels takes smaller steps.

    Source: Hansen, "The CMA Evolution Strategy: A Tutorial" (arXiv 1604.00772), by the pycma library; surrogates that
    stand in for most of the generations as in Loshchilov et al., "Self-adaptive surrogate-assisted CMA-ES" (2012);
    confidence bounds as in Srinivas et al., "Gaussian process optimization in the bandit setting" (2010).
    """

    finishes = False
    survivors: int | None = None
    """All that is measured teaches the surrogate."""

    def __init__(self, budget: Budget, seed: int, *, settings: CMASettings | None = None) -> None:
        self.budget = budget
        self.settings = settings = settings or CMASettings()
        self.fidelity = settings.low_fidelity
        self._rng = np.random.default_rng(seed)
        self._free = list(budget.space.free)
        self._values: dict[tuple[Pattern, float], float] = {}
        self._met: dict[Pattern, None] = {}
        self._surrogate = Surrogate(budget.space, settings.surrogate)
        units = sum(budget.space.parts[i].top for i in self._free)
        self._screened = min(max(units // 3, settings.min_low_fidelity), settings.max_low_fidelity)
        drawn = [budget.draw(self._rng) for _ in range(max(4, int(len(self._free) * settings.initial_random)))]
        self._asked = list(dict.fromkeys([*(probes(budget.space) if settings.sensitivities else []), *drawn]))

    def ask(self) -> list[Pattern]:
        """Return the patterns to measure at low fidelity, or those to measure in full."""
        return self._asked

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Fit the surrogate to all values so far, and choose the patterns of the next round."""
        settings = self.settings
        self._values.update(((pattern, self.fidelity), values[pattern]) for pattern in self._asked)
        self._met.update(dict.fromkeys(pattern for pattern in self._asked if self.budget.met(pattern)))
        fitted = self._surrogate.fit(self._values)
        # Rounds take turns: at low fidelity new candidates, then in full the best of all that were so measured, also
        # in earlier generations: low fidelity alone would drop the optimum for good.
        to_full = self.fidelity < 1.0
        fresh = self._unknown(self._met, full=True) if to_full else self._unknown(self._candidates(fitted))
        self.fidelity = 1.0 if to_full else settings.low_fidelity
        count = settings.full_fidelity if to_full else self._screened
        chosen = self._promising(fresh, count) if fitted else fresh[: self._screened]
        # Nothing left to choose: a space without anything new ends the search by itself.
        self._asked = chosen or [self.budget.draw(self._rng)]

    def completion(self, values: Mapping[Pattern, float]) -> Pattern | None:
        """Return the best pattern measured; before any, parts leave in the order of what they cost alone."""
        met = [pattern for pattern in values if self.budget.met(pattern) and np.isfinite(values[pattern])]
        if met:
            return min(met, key=lambda pattern: values[pattern])
        largest = max((value for value in values.values() if np.isfinite(value)), default=0.0)
        preference = np.full(len(self.budget.space.parts), -largest - 1.0)
        for i in self._free:
            of_part = [value for pattern, value in values.items() if pattern.levels[i] and np.isfinite(value)]
            if of_part:
                preference[i] = -np.mean(of_part)
        return self.budget.decode(preference)

    # -- candidates

    def _candidates(self, fitted: bool) -> dict[Pattern, None]:
        """Return patterns worth a prediction: what CMA-ES, switches and chance bring."""
        settings = self.settings
        candidates = dict.fromkeys(self.budget.draw(self._rng) for _ in range(settings.random_candidates))
        if not fitted or not self._met:
            return candidates
        incumbents = self._incumbents()
        candidates |= dict.fromkeys(self._sampled(incumbents[0]))
        around = (pattern for pattern in incumbents for _ in range(settings.switches_per_incumbent))
        candidates |= dict.fromkeys(self._switched(pattern, settings.max_switches) for pattern in around)
        for _ in range(settings.hill_climb_rounds):
            best = self._promising(self._unknown(candidates), settings.hill_climb_starts)
            candidates |= dict.fromkeys(self._switched(p, 1) for p in best for _ in range(settings.hill_climb_switches))
        return candidates

    def _incumbents(self) -> list[Pattern]:
        """Return the best pattern measured in full, if any, and those of the best predicted value."""
        met = list(self._met)
        mean, _ = self._surrogate.predict(met)
        predicted = [met[i] for i in np.argsort(mean, kind="stable")[: self.settings.incumbents]]
        full = {pattern: self._values[pattern, 1.0] for pattern in met if (pattern, 1.0) in self._values}
        return list(dict.fromkeys([*sorted(full, key=lambda pattern: full[pattern])[:1], *predicted]))

    def _switched(self, pattern: Pattern, most: int) -> Pattern:
        """Return a pattern a few level switches away; few more often than many, as EvoPress draws them."""
        for _ in range(self._rng.integers(1, most + 1, 2).min()):
            pattern = self.budget.move(pattern, self._rng)
        return pattern

    def _sampled(self, start: Pattern) -> Iterable[Pattern]:
        """Yield what CMA-ES samples in some generations on the surrogate, from a pattern on."""
        steps = np.array([self.budget.space.parts[i].top ** -0.5 for i in self._free])
        options = {**PYCMA_OPTIONS, "randn": self._randn, "CMA_stds": steps}
        engine = cma.CMAEvolutionStrategy(self._preferences(start), self.settings.sigma, options)
        for _ in range(self.settings.cma_generations):
            offspring = engine.ask()
            patterns = [self._decode(x) for x in offspring]
            mean, deviation = self._surrogate.predict(patterns)
            engine.tell(offspring, (mean - deviation).tolist())
            yield from patterns

    # -- choosing

    def _unknown(self, patterns: Iterable[Pattern], full: bool = False) -> list[Pattern]:
        """Return the patterns not measured in full, nor failed; unless ``full``, nor measured at low fidelity."""
        known, low = self._values, self.settings.low_fidelity
        return [
            p
            for p in patterns
            if (p, 1.0) not in known and np.isfinite(known.get((p, low), 0.0)) and (full or (p, low) not in known)
        ]

    def _promising(self, patterns: list[Pattern], count: int) -> list[Pattern]:
        """Return the patterns of the lowest confidence bounds, the first chosen soberly, the next more boldly."""
        if not patterns:
            return []
        betas = self.settings.confidence_betas
        mean, deviation = self._surrogate.predict(patterns)
        chosen: dict[int, None] = {}
        for turn in range(min(count, len(patterns))):
            order = np.argsort(mean - betas[turn % len(betas)] * deviation, kind="stable")
            chosen[next(int(i) for i in order if int(i) not in chosen)] = None
        return [patterns[i] for i in chosen]

    # -- preferences

    def _preferences(self, pattern: Pattern) -> np.ndarray:
        """Return preferences that decode to a pattern, float [free parts].

        Each is half-way between the price of the part's last level gone and the next.
        """
        preferences = []
        for i in self._free:
            part, level = self.budget.space.parts[i], pattern.levels[i]
            ladder = [part.ladder[0] - 1, *part.ladder, part.ladder[-1] + 1]
            preferences.append((ladder[level] + ladder[level + 1]) / 2)
        return np.array(preferences)

    def _decode(self, x: np.ndarray) -> Pattern:
        preference = np.zeros(len(self.budget.space.parts))
        preference[self._free] = x
        return self.budget.decode(preference)

    def _randn(self, *shape: int) -> np.ndarray:
        return self._rng.standard_normal(shape)
