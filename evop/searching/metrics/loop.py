"""The loop of a search of metrics: ask, cut, measure what cuts anew, tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evop.errors import EvopError
from evop.metrics.methods import Method
from evop.metrics.metric import Metric
from evop.metrics.simplify import simplified
from evop.removal.cut import Cut
from evop.searching.metrics.judge import Judge, Losses
from evop.searching.metrics.trial import MetricLog, MetricTrial
from evop.tokens.passages import TokenPassages
from patterns import Stop

BARREN_ROUNDS = 50
"""Rounds in a row that ask for nothing that cuts anew, after which the search ends."""


@dataclass
class MetricLoop:
    """Runs one search of metrics.

    Attributes:
        method: proposes metrics.
        judge: measures them.
        passages: the passages that they are measured on.
        dense: the dense model's mean loss per group there.
        log: takes the trials, and gives back those of before.
        stop: the limits.
        on_trial: is called with every trial, replayed ones included.
        trials: metric -> its trial.
        cuts: what is cut -> the first trial that cut it.
    """

    method: Method
    judge: Judge
    passages: TokenPassages
    dense: Losses
    log: MetricLog
    stop: Stop
    on_trial: Callable[[MetricTrial], None] = lambda trial: None
    trials: dict[Metric, MetricTrial] = field(default_factory=dict)
    cuts: dict[Any, MetricTrial] = field(default_factory=dict)

    def run(self) -> str:
        """Run until the method has finished or a limit is reached; return the reason.

        Raises:
            EvopError: the log was written by another search.
        """
        logged: Iterator[MetricTrial] = iter(list(self.log.trials))
        barren, number = 0, 0
        while barren < BARREN_ROUNDS:
            asked = {metric: _written(metric) for metric in self.method.ask()}
            if not asked:
                return "method finished"
            fresh = [metric for metric in dict.fromkeys(asked.values()) if metric not in self.trials]
            before = self.measured
            fresh = self._replayed(fresh, logged, number)
            while fresh:
                done, reason = self._batch(fresh, number)
                fresh = fresh[done:]
                if reason:
                    return reason
            barren = 0 if self.measured > before else barren + 1
            number += 1
            self.method.tell({metric: self.trials[written].value for metric, written in asked.items()})
        return "nothing new"

    @property
    def measured(self) -> int:
        """Number of metrics that the model was run for."""
        return len(self.cuts)

    def _replayed(self, fresh: Sequence[Metric], logged: Iterator[MetricTrial], number: int) -> list[Metric]:
        """Enter the trials that the log holds; return the metrics that are left."""
        for done, metric in enumerate(fresh):
            trial = next(logged, None)
            if trial is None:
                return list(fresh[done:])
            if (trial.round, str(trial.metric)) != (number, str(metric)):
                raise EvopError(
                    f"{self.log.path} holds other metrics than this search would ask for (round {number}); it belongs "
                    "to another search or another version: use a new --out"
                )
            cut = self.judge.cut(metric) if trial.measured else None
            self._enter(metric, trial, cut if isinstance(cut, Cut) else None)
        return []

    def _batch(self, fresh: Sequence[Metric], number: int) -> tuple[int, str | None]:
        """Measure some metrics together, as far as the limits allow; return how many are done, and why no more are."""
        planned: list[tuple[Metric, Cut | str, Any]] = []
        new: dict[Any, Cut] = {}
        reason = None
        for metric in fresh:
            cut = self.judge.cut(metric)
            key = cut if isinstance(cut, str) else self.judge.key(cut)
            if isinstance(cut, Cut) and key not in self.cuts and key not in new:
                reason = self.stop.reason(self.measured + len(new), 0, 0)
                if reason or len(new) == self.judge.at_once:
                    break
                new[key] = cut
            planned.append((metric, cut, key))
        found = dict(zip(new, self.judge.losses(list(new.values()), self.passages), strict=True)) if new else {}
        trials = []
        for metric, cut, key in planned:
            trials.append(self._trial(number, metric, cut, key, found))
            self._enter(metric, trials[-1], cut if trials[-1].measured and isinstance(cut, Cut) else None)
        self.log.append(trials)
        return len(planned), reason

    def _trial(self, number: int, metric: Metric, cut: Cut | str, key: Any, found: dict[Any, Losses]) -> MetricTrial:
        if isinstance(cut, str):
            return MetricTrial(number, metric, math.inf, 0, {}, failed=cut)
        if (first := self.cuts.get(key)) is not None:
            return MetricTrial(number, metric, first.value, 0, first.losses, str(first.metric), first.failed)
        losses = found[key]
        value = self.judge.value(losses, self.dense)
        if math.isinf(value):
            return MetricTrial(number, metric, value, self.passages.total, {}, failed="a loss is not finite")
        return MetricTrial(number, metric, value, self.passages.total, losses)

    def _enter(self, metric: Metric, trial: MetricTrial, cut: Cut | None) -> None:
        self.trials[metric] = trial
        if cut is not None:
            self.cuts[self.judge.key(cut)] = trial
        self.on_trial(trial)


def _written(metric: Metric) -> Metric:
    """Write a metric more simply; the order of sums and products is one, so that one metric has one line."""
    return replace(metric, expression=simplified(metric.expression))
