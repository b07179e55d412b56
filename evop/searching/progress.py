"""The progress of a search, for whoever shows it; and a Ctrl-C that loses nothing on the disk."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from evop.fitness.fitness import Fitness
from evop.searching.time_left import TimeLeft
from patterns import Pattern, Stop, Trial


@dataclass(frozen=True)
class Progress:
    """Says where a search stands.

    Attributes:
        stage: ``"loading"``, ``"importance"``, ``"statistics"``, ``"moments"``, ``"dense"``, ``"searching"``,
            ``"selecting"`` or ``"timing"``.
        evaluations: distinct patterns measured.
        best: best value of the objective so far among trials that meet the budget, or None.
        worst: excess of the group that loses most under the best pattern, in the unit of the loss, or None.
        worst_group: label of that group.
        share: fraction of the limit that is used up, or None where there is no limit.
        seconds_left: estimated seconds until the limit, the least and the most; None where there is no limit, or too
            little is known.
        in_tolerances: whether ``best`` is in units of what is tolerated.
    """

    stage: str
    evaluations: int = 0
    best: float | None = None
    worst: float | None = None
    worst_group: str = ""
    share: float | None = None
    seconds_left: tuple[float, float] | None = None
    in_tolerances: bool = False


Watch = Callable[[Progress], None]


class ProgressMeter:
    """Turns trials into progress.

    Args:
        fitness: what judged the trials.
        labels: group key -> what a person reads.
        stop: the limits the share is taken of.
        spent: tokens scored before the first trial, or set aside for the finalists.
        watch: is shown the progress.
        in_tolerances: whether the objective is in units of what is tolerated.
    """

    def __init__(
        self,
        fitness: Fitness,
        labels: Mapping[str, str],
        stop: Stop,
        spent: int,
        watch: Watch,
        in_tolerances: bool = False,
    ) -> None:
        self.fitness, self.labels, self.stop, self.tokens, self.watch = fitness, labels, stop, spent, watch
        self.in_tolerances = in_tolerances
        self.patterns: set[Pattern] = set()
        self.best: Trial | None = None
        self._left = TimeLeft()

    def measuring(self) -> None:
        """Begin to measure a request: its trials come all at once when it is done, so time is taken in between."""
        self._left.mark(self._share, time.monotonic())

    def __call__(self, trial: Trial) -> None:
        """Count one more trial, measured or replayed, and show the progress."""
        self.patterns.add(trial.pattern)
        self.tokens += trial.measurement.tokens
        whole = trial.fidelity == self.fitness.sample.full.passages
        good = whole and trial.met and trial.measurement.whole
        if good and (self.best is None or trial.value < self.best.value):
            self.best = trial
        best = None if self.best is None else self.best.value
        left = self._left.estimate(time.monotonic())
        counted = len(self.patterns), best, *self._worst(), self._share, left, self.in_tolerances
        self.watch(Progress("searching", *counted))

    @property
    def _share(self) -> float | None:
        return self.stop.share(len(self.patterns), self.tokens)

    def _worst(self) -> tuple[float | None, str]:
        if self.best is None:
            return None, ""
        group = self.fitness.worst_group(self.fitness.excess(self.best.measurement))
        return self.fitness.excess(self.best.measurement)[group], self.labels[group]


@contextmanager
def interruptible(stop: Stop) -> Iterator[None]:
    """Let Ctrl-C stop a search after the batch in flight; a second Ctrl-C ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def interrupt(*_: object) -> None:
        stop.interrupted = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
