"""CMA-ES over preferences, guided by what was measured: a surrogate screens, level switches refine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import cma
import numpy as np

from patterns.budget import Budget
from patterns.part import Pattern
from patterns.strategies.oneshot import probes
from patterns.strategies.surrogate import Surrogate

LOOK = 1 / 4
"""Share of the search sample of a first look."""
LEAST_LOOKED, MOST_LOOKED, FULL = 4, 8, 3
"""Patterns of a generation that are looked at, a third of the units that can go within these bounds, and those that
are then measured in full."""
BOLDNESS = (0.0, 0.5, 1.0, 2.0)
"""Standard deviations that a pattern may be better than guessed, for the first chosen, the second, and so on."""
INCUMBENTS = 4
"""The patterns, of the best guessed value, around which switches are tried and CMA-ES starts."""
SWITCHES, MOST_SWITCHES = 30, 3
"""Patterns tried around each incumbent a generation, and how many level switches away they are at most."""
CLIMBS, CLIMBERS, CLIMBED = 2, 6, 10
"""Rounds of further switches from the most promising candidates; how many of those, and switches from each."""
DRAWN = 8
"""Random patterns among the candidates of every generation: no corner of a space is out of reach."""
GENERATIONS = 4
"""Generations CMA-ES runs on the surrogate for one generation that is measured."""
SIGMA = 0.3
OPTIONS = {
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


class CMA:
    """Covariance matrix adaptation over one preference a part, on a surrogate; what it brings is measured in steps.

    The first round looks at every part gone alone, and at random patterns half as many as there are parts. From then
    on a generation is: fit the surrogate to everything measured; gather candidates, which are what CMA-ES samples on
    the surrogate around the incumbent, level switches around the incumbents and around the best candidates, and some
    random patterns; look at the 4 to 8 that promise most; of all that was looked at, measure the 3 in full that promise
    most now. A pattern promises its guessed value less some of the guess's standard deviation.

    A preference lives on the scale of its part's prices, which lie in (0, 1) for every ladder: one step size fits
    whole parts, heads and channels alike; a part of many levels takes smaller steps.

    Source: Hansen, "The CMA Evolution Strategy: A Tutorial" (arXiv 1604.00772), by the pycma library; surrogates that
    stand in for most of the generations as in Loshchilov et al., "Self-adaptive surrogate-assisted CMA-ES" (2012);
    confidence bounds as in Srinivas et al., "Gaussian process optimization in the bandit setting" (2010).
    """

    finishes = False
    keep: int | None = None
    """All that is measured teaches the surrogate."""

    def __init__(self, budget: Budget, seed: int) -> None:
        self.budget = budget
        self.fidelity = LOOK
        self._rng = np.random.default_rng(seed)
        self._free = list(budget.space.free)
        self._values: dict[tuple[Pattern, float], float] = {}
        self._met: dict[Pattern, None] = {}
        self._surrogate = Surrogate(budget.space)
        units = sum(budget.space.parts[i].top for i in self._free)
        self._looked = min(max(units // 3, LEAST_LOOKED), MOST_LOOKED)
        drawn = [budget.draw(self._rng) for _ in range(max(4, len(self._free) // 2))]
        self._asked = list(dict.fromkeys([*probes(budget.space), *drawn]))

    def ask(self) -> list[Pattern]:
        """What is looked at, or what is measured in full."""
        return self._asked

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Learn, and choose what comes next."""
        self._values.update(((pattern, self.fidelity), values[pattern]) for pattern in self._asked)
        self._met.update(dict.fromkeys(pattern for pattern in self._asked if self.budget.met(pattern)))
        learnt = self._surrogate.learn(self._values)
        looked = self.fidelity < 1.0
        fresh = self._unknown(self._met, full=True) if looked else self._unknown(self._candidates(learnt))
        self.fidelity = 1.0 if looked else LOOK
        chosen = self._promising(fresh, FULL if looked else self._looked) if learnt else fresh[: self._looked]
        # Nothing left to choose: a space without anything new ends the search by itself.
        self._asked = chosen or [self.budget.draw(self._rng)]

    def completion(self, values: Mapping[Pattern, float]) -> Pattern | None:
        """The best that was looked at; before that, parts leave in the order of what they cost alone."""
        met = [pattern for pattern in values if self.budget.met(pattern) and np.isfinite(values[pattern])]
        if met:
            return min(met, key=lambda pattern: values[pattern])
        most = max((value for value in values.values() if np.isfinite(value)), default=0.0)
        preference = np.full(len(self.budget.space.parts), -most - 1.0)
        for i in self._free:
            of_part = [value for pattern, value in values.items() if pattern.levels[i] and np.isfinite(value)]
            if of_part:
                preference[i] = -np.mean(of_part)
        return self.budget.decode(preference)

    # -- candidates

    def _candidates(self, learnt: bool) -> dict[Pattern, None]:
        """Patterns worth a guess: what CMA-ES, switches and chance bring."""
        found = dict.fromkeys(self.budget.draw(self._rng) for _ in range(DRAWN))
        if not learnt or not self._met:
            return found
        incumbents = self._incumbents()
        found |= dict.fromkeys(self._sampled(incumbents[0]))
        found |= dict.fromkeys(self._switched(p, MOST_SWITCHES) for p in incumbents for _ in range(SWITCHES))
        for _ in range(CLIMBS):
            best = self._promising(self._unknown(found), CLIMBERS)
            found |= dict.fromkeys(self._switched(p, 1) for p in best for _ in range(CLIMBED))
        return found

    def _incumbents(self) -> list[Pattern]:
        """The best pattern measured in full, if any, and those of the best guessed value."""
        met = list(self._met)
        mean, _ = self._surrogate.guess(met)
        guessed = [met[i] for i in np.argsort(mean, kind="stable")[:INCUMBENTS]]
        full = {pattern: self._values[pattern, 1.0] for pattern in met if (pattern, 1.0) in self._values}
        return list(dict.fromkeys([*sorted(full, key=lambda pattern: full[pattern])[:1], *guessed]))

    def _switched(self, pattern: Pattern, most: int) -> Pattern:
        """A few level switches away; few more often than many, as EvoPress draws them."""
        for _ in range(self._rng.integers(1, most + 1, 2).min()):
            pattern = self.budget.move(pattern, self._rng)
        return pattern

    def _sampled(self, start: Pattern) -> Iterable[Pattern]:
        """What CMA-ES samples in some generations on the surrogate, from a pattern on."""
        steps = np.array([self.budget.space.parts[i].top ** -0.5 for i in self._free])
        options = {**OPTIONS, "randn": self._randn, "CMA_stds": steps}
        engine = cma.CMAEvolutionStrategy(self._around(start), SIGMA, options)
        for _ in range(GENERATIONS):
            offspring = engine.ask()
            patterns = [self._decode(x) for x in offspring]
            mean, spread = self._surrogate.guess(patterns)
            engine.tell(offspring, (mean - spread).tolist())
            yield from patterns

    # -- choosing

    def _unknown(self, patterns: Iterable[Pattern], full: bool = False) -> list[Pattern]:
        """Those not measured in full, nor failed; where it is about looks, not looked at either."""
        known = self._values
        return [
            p
            for p in patterns
            if (p, 1.0) not in known and np.isfinite(known.get((p, LOOK), 0.0)) and (full or (p, LOOK) not in known)
        ]

    def _promising(self, patterns: list[Pattern], count: int) -> list[Pattern]:
        """Those that promise most, the first chosen soberly, the next more boldly."""
        if not patterns:
            return []
        mean, spread = self._surrogate.guess(patterns)
        chosen: dict[int, None] = {}
        for turn in range(min(count, len(patterns))):
            order = np.argsort(mean - BOLDNESS[turn % len(BOLDNESS)] * spread, kind="stable")
            chosen[next(int(i) for i in order if int(i) not in chosen)] = None
        return [patterns[i] for i in chosen]

    # -- preferences

    def _around(self, pattern: Pattern) -> np.ndarray:
        """Preferences that decode to a pattern: half-way between the price of each last level gone and the next."""
        around = []
        for i in self._free:
            part, level = self.budget.space.parts[i], pattern.levels[i]
            ladder = [part.ladder[0] - 1, *part.ladder, part.ladder[-1] + 1]
            around.append((ladder[level] + ladder[level + 1]) / 2)
        return np.array(around)

    def _decode(self, x: np.ndarray) -> Pattern:
        preference = np.zeros(len(self.budget.space.parts))
        preference[self._free] = x
        return self.budget.decode(preference)

    def _randn(self, *shape: int) -> np.ndarray:
        return self._rng.standard_normal(shape)
