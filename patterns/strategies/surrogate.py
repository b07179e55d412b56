"""Bayesian optimisation by a surrogate: sensitivities and what was measured predict, level switches propose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from patterns.budget import Budget
from patterns.part import Pattern
from patterns.strategies.gaussian_process import GaussianProcess, GaussianProcessSettings
from patterns.strategies.sensitivities import by_effects, effects, probes


@dataclass(frozen=True)
class SurrogateSettings:
    """Hyperparameters of the search.

    Attributes:
        sensitivities: whether the first round measures what parts cost when they leave alone.
        sensitivity_fidelity: share of the search sample on which that is measured.
        low_fidelity: share of the search sample on which patterns are measured first.
        min_low_fidelity: number of patterns per generation measured on that share, at least.
        max_low_fidelity: number of patterns per generation measured on that share, at most; in between it is a third
            of the units that can go.
        full_fidelity: number of patterns per generation measured in full.
        confidence_betas: standard deviations that a pattern may be better than predicted, for the first chosen of a
            generation, the second, and so on, and from the start again.
        random_candidates: number of random patterns among the candidates of each generation: no corner of a space is
            out of reach.
        incumbents: number of patterns of the best predicted value around which switches are tried.
        switches_per_incumbent: number of patterns tried around each incumbent per generation.
        max_switches: number of level switches that such a pattern is away at most.
        hill_climb_rounds: rounds of further switches from the most promising candidates.
        hill_climb_starts: number of candidates per round that further switches set out from.
        hill_climb_switches: number of patterns tried one switch away from each of those.
        process: hyperparameters of the Gaussian process.
    """

    sensitivities: bool = True
    sensitivity_fidelity: float = 1 / 4
    low_fidelity: float = 1 / 4
    min_low_fidelity: int = 4
    max_low_fidelity: int = 8
    full_fidelity: int = 3
    confidence_betas: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    random_candidates: int = 8
    incumbents: int = 4
    switches_per_incumbent: int = 30
    max_switches: int = 3
    hill_climb_rounds: int = 2
    hill_climb_starts: int = 6
    hill_climb_switches: int = 10
    process: GaussianProcessSettings = field(default_factory=GaussianProcessSettings)


class Surrogate:
    """Measures what a Gaussian process of everything measured so far finds most promising, in steps of fidelity.

    The first round measures at low fidelity what parts cost when they leave alone. The second measures in full the
    pattern that this alone would choose (the answer of ``oneshot``) and the best that switches from there reach by the
    sum of the sensitivities. From then on a generation is: gather candidates, which are level switches around the
    incumbents and around the best candidates, and some random patterns; measure the 4 to 8 that promise most at low
    fidelity; of all that was so measured, measure the 3 in full that promise most now. A pattern promises its
    predicted value less some standard deviations.

    Where patterns fail or no sensitivities are asked for, the first patterns are random.

    Source: sensitivities as in Shortened LLaMA (arXiv 2402.02834), switches as in EvoPress (arXiv 2410.14649);
    confidence bounds as in Srinivas et al., "Gaussian process optimization in the bandit setting" (2010).
    """

    finishes = False
    survivors: int | None = None
    """All that is measured teaches the process."""

    def __init__(self, budget: Budget, seed: int, *, settings: SurrogateSettings | None = None) -> None:
        self.budget = budget
        self.settings = settings = settings or SurrogateSettings()
        self._rng = np.random.default_rng(seed)
        self._process = GaussianProcess(budget.space, settings.process)
        self._values: dict[tuple[Pattern, float], float] = {}
        self._met: dict[Pattern, None] = {}
        self._cost: np.ndarray | None = None
        units = sum(budget.space.parts[i].top for i in budget.space.free)
        self._screened = min(max(units // 3, settings.min_low_fidelity), settings.max_low_fidelity)
        self._probes = probes(budget.space) if settings.sensitivities else []
        self.fidelity = settings.sensitivity_fidelity if self._probes else settings.low_fidelity
        self._asked = self._probes or [budget.draw(self._rng) for _ in range(self._screened)]

    def ask(self) -> list[Pattern]:
        """Return the patterns to measure at low fidelity, or those to measure in full."""
        return self._asked

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Fit the process to all values so far, and choose the patterns of the next round."""
        if self._asked is self._probes:
            self._cost = effects(self.budget.space, values)
            self._enter({p: value for p, value in values.items() if self.budget.met(p)})
            self._process.fit(self._values, self._cost)
            self.fidelity, self._asked = 1.0, self._chosen(values)[: self.settings.full_fidelity]
            return
        self._enter(values)
        fitted = self._process.fit(self._values, self._cost)
        # Rounds take turns: at low fidelity new candidates, then in full the best of all that were so measured, also
        # in earlier generations: low fidelity alone would drop the optimum for good.
        to_full = self.fidelity < 1.0
        fresh = self._unknown(self._met, full=True) if to_full else self._unknown(self._candidates(fitted))
        self.fidelity = 1.0 if to_full else self.settings.low_fidelity
        count = self.settings.full_fidelity if to_full else self._screened
        chosen = self._promising(fresh, count) if fitted else fresh[: self._screened]
        # Nothing left to choose: a space without anything new ends the search by itself.
        self._asked = chosen or [self.budget.draw(self._rng)]

    def begin_from(self, values: Mapping[Pattern, float]) -> None:
        """Know these patterns as if they had been asked for in full: incumbents, and points of the process."""
        self._values.update(((pattern, 1.0), value) for pattern, value in values.items())
        self._met.update(dict.fromkeys(values))

    def completions(self, values: Mapping[Pattern, float]) -> list[Pattern]:
        """Return the best patterns measured; before any, what the sensitivities known by then would choose.

        They are noisy, and some may be missing: of several patterns that nearly add up to the least, one is better.
        """
        met = [pattern for pattern in values if self.budget.met(pattern) and np.isfinite(values[pattern])]
        if met:
            return sorted(met, key=lambda pattern: values[pattern])
        self._process.fit({}, effects(self.budget.space, values))
        return self._chosen(values)

    def _enter(self, values: Mapping[Pattern, float]) -> None:
        """Take the values of the patterns last asked."""
        self._values.update(((pattern, self.fidelity), value) for pattern, value in values.items())
        self._met.update(dict.fromkeys(values))

    # -- candidates

    def _chosen(self, values: Mapping[Pattern, float]) -> list[Pattern]:
        """Return what the sensitivities choose, then what switches from there reach, the smallest sum of them first."""
        chosen = by_effects(self.budget, effects(self.budget.space, values))
        found = list(self._climbed({chosen: None}))
        mean, _ = self._process.predict(found)
        return list(dict.fromkeys([chosen, *(found[i] for i in np.argsort(mean, kind="stable"))]))

    def _candidates(self, fitted: bool) -> dict[Pattern, None]:
        """Return patterns worth a prediction: what switches and chance bring."""
        settings = self.settings
        candidates = dict.fromkeys(self.budget.draw(self._rng) for _ in range(settings.random_candidates))
        if not fitted or not self._met:
            return candidates
        around = (pattern for pattern in self._incumbents() for _ in range(settings.switches_per_incumbent))
        return self._climbed(candidates | dict.fromkeys(self._switched(p, settings.max_switches) for p in around))

    def _climbed(self, candidates: dict[Pattern, None]) -> dict[Pattern, None]:
        """Return candidates, and what lies a switch away from the most promising of them, and so on."""
        settings = self.settings
        for _ in range(settings.hill_climb_rounds):
            best = self._promising(self._unknown(candidates), settings.hill_climb_starts)
            candidates |= dict.fromkeys(self._switched(p, 1) for p in best for _ in range(settings.hill_climb_switches))
        return candidates

    def _incumbents(self) -> list[Pattern]:
        """Return the best pattern measured in full, if any, and those of the best predicted value."""
        met = list(self._met)
        mean, _ = self._process.predict(met)
        predicted = [met[i] for i in np.argsort(mean, kind="stable")[: self.settings.incumbents]]
        full = {pattern: self._values[pattern, 1.0] for pattern in met if (pattern, 1.0) in self._values}
        return list(dict.fromkeys([*sorted(full, key=lambda pattern: full[pattern])[:1], *predicted]))

    def _switched(self, pattern: Pattern, most: int) -> Pattern:
        """Return a pattern a few level switches away; few more often than many, as EvoPress draws them."""
        for _ in range(self._rng.integers(1, most + 1, 2).min()):
            pattern = self.budget.move(pattern, self._rng)
        return pattern

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
        mean, deviation = self._process.predict(patterns)
        chosen: dict[int, None] = {}
        for turn in range(min(count, len(patterns))):
            order = np.argsort(mean - betas[turn % len(betas)] * deviation, kind="stable")
            chosen[next(int(i) for i in order if int(i) not in chosen)] = None
        return [patterns[i] for i in chosen]
