"""OptiShear's search of a metric: NSGA-III over four choices."""

from __future__ import annotations

from optuna.samplers import NSGAIIISampler

from evop.metrics.meta import meta_metric
from evop.metrics.methods import Asked
from evop.metrics.methods.study import Study, suggested
from evop.metrics.metric import Metric

POPULATION = 50
"""Metrics of a generation, and of a round; Optuna's default, which the release takes."""


class OptiShear(Study):
    """Breeds metrics of OptiShear's space by NSGA-III, as its release does; it never finishes.

    As published: population 50, uniform crossover with probability 0.9, mutation of one choice in four, one objective;
    300 metrics are one random generation and five bred ones. Ours is: a seed, so that a search can be repeated.
    ``faithful``: inputs are summed over a passage, and "no coefficient" is A / A.

    Source: OptiShear (Liu et al., arXiv 2502.10735), and its code, which takes Optuna's sampler with its defaults.
    """

    def __init__(self, asked: Asked) -> None:
        super().__init__(
            lambda: NSGAIIISampler(population_size=POPULATION, seed=asked.seed),
            lambda trial: Metric(meta_metric(**suggested(trial), faithful=asked.faithful)),
            POPULATION,
        )
