"""OptiShear's second search: what share of the weights of every layer leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping

import optuna
from optuna.samplers import NSGAIIISampler

from evop.metrics.methods import Shares
from evop.metrics.methods.optishear import POPULATION
from evop.metrics.methods.study import quiet

STEP = 0.05
"""How much more or less than was asked of all a layer may lose; the release's."""


class LayerShares:
    """Breeds shares of layers by NSGA-III with two objectives: the loss, and how far the whole is from what was asked.

    As published: of every layer leaves 0.05 less than was asked, as much, or 0.05 more. Ours are: a seed, and that what
    was asked of every layer alike is the first to be tried.

    Source: OptiShear (Liu et al., arXiv 2502.10735), and its code, which takes Optuna's sampler with its defaults.

    Args:
        share: what was asked: the fraction of every row that leaves.
        layers: number of decoder layers.
        seed: seed of the sampler.
    """

    def __init__(self, share: float, layers: int, seed: int) -> None:
        # A share of 0.5 and a step of 0.05 are 0.55 as a person writes it, not the nearest sum of floats.
        steps = (round(share + step, 9) for step in (-STEP, 0, STEP))
        self._choices = [choice for choice in steps if 0 <= choice < 1]
        self._names = [f"layer {number}" for number in range(layers)]
        with quiet():
            sampler = NSGAIIISampler(population_size=POPULATION, seed=seed)
            self._study = optuna.create_study(sampler=sampler, directions=["minimize", "minimize"])
            self._study.enqueue_trial(dict.fromkeys(self._names, round(share, 9)))
        self._asked: list[tuple[optuna.Trial, Shares]] = []

    def ask(self) -> list[Shares]:
        """Return a generation: of each the share of every layer."""
        with quiet():
            trials = [self._study.ask() for _ in range(POPULATION)]
            self._asked = [(trial, self._drawn(trial)) for trial in trials]
        return [shares for _, shares in self._asked]

    def tell(self, values: Mapping[Shares, tuple[float, float]]) -> None:
        """Take in what came of the generation: of each the loss, and how far it is from what was asked."""
        with quiet():
            for trial, shares in self._asked:
                loss, off = values[shares]
                self._study.tell(trial, [math.inf if math.isnan(loss) else loss, off])

    def _drawn(self, trial: optuna.Trial) -> Shares:
        return tuple(float(trial.suggest_categorical(name, self._choices)) for name in self._names)
