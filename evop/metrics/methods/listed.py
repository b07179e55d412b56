"""Methods that do not look at what came of the metrics before: all of a space, or some drawn from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from calibration.seeded import generator
from evop.metrics.meta import AXES, distinct_meta_metrics, meta_metric
from evop.metrics.methods import Asked
from evop.metrics.metric import Metric

ROUND = 32
"""Metrics of a round."""


class Exhaustive:
    """Asks for every metric of OptiShear's space that may rank differently from all others, once."""

    def __init__(self, asked: Asked) -> None:
        self._left = [
            Metric(expression) for expression in distinct_meta_metrics(by_row=asked.by_row, faithful=asked.faithful)
        ]

    def ask(self) -> Sequence[Metric]:
        """Return the next metrics of the list."""
        asked, self._left = self._left[:ROUND], self._left[ROUND:]
        return asked

    def tell(self, values: Mapping[Metric, float]) -> None:
        """Learn nothing."""


class RandomMetrics:
    """Draws metrics from OptiShear's space, each of the four choices by itself; it never finishes."""

    def __init__(self, asked: Asked) -> None:
        self._rng, self._faithful = generator("metrics", asked.seed), asked.faithful

    def ask(self) -> Sequence[Metric]:
        """Draw a round."""
        return [Metric(meta_metric(*self._drawn(), faithful=self._faithful)) for _ in range(ROUND)]

    def _drawn(self) -> list[str]:
        return [choices[self._rng.integers(len(choices))] for choices in AXES.values()]

    def tell(self, values: Mapping[Metric, float]) -> None:
        """Learn nothing."""
