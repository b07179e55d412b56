"""A study of Optuna that is asked and told by rounds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any

import optuna

from evop.metrics.metric import Metric


@contextmanager
def quiet() -> Any:
    """Keep Optuna's log, and its warnings of what is experimental, off the screen."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


class Study:
    """Asks a sampler of Optuna for metrics.

    Args:
        sampler: makes the sampler; it has its own random state, from a seed.
        metric_of: makes a metric of a trial's suggestions.
        size: metrics of a round.
    """

    def __init__(self, sampler: Callable[[], Any], metric_of: Callable[[Any], Metric], size: int) -> None:
        with quiet():
            self._study = optuna.create_study(sampler=sampler(), direction="minimize")
        self._metric_of, self._size = metric_of, size
        self._asked: list[tuple[Any, Metric]] = []

    def ask(self) -> list[Metric]:
        """Return a round of metrics."""
        with quiet():
            trials = [self._study.ask() for _ in range(self._size)]
            self._asked = [(trial, self._metric_of(trial)) for trial in trials]
        return [metric for _, metric in self._asked]

    def tell(self, values: Mapping[Metric, float]) -> None:
        """Tell the value of every metric asked for."""
        with quiet():
            for trial, metric in self._asked:
                value = values[metric]
                self._study.tell(trial, math.inf if math.isnan(value) else value)


def suggested(trial: Any) -> dict[str, Any]:
    """Let a trial choose a metric of OptiShear's space: axis -> choice."""
    from evop.metrics.meta import AXES

    return {axis: trial.suggest_categorical(axis, list(choices)) for axis, choices in AXES.items()}
