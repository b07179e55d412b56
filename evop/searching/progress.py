"""The progress of a search, for whoever shows it; and a Ctrl-C that loses nothing on the disk."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from evop.fitness.fitness import Fitness
from patterns import Pattern, Stop, Trial


@dataclass(frozen=True)
class Progress:
    """Says where a search stands.

    Attributes:
        stage: ``"loading"``, ``"importance"``, ``"dense"``, ``"searching"``, ``"selecting"`` or
            ``"timing"``.
        evaluations: distinct patterns measured.
        best: best value of the objective so far among trials that meet the budget, or None.
        worst: excess of the group that loses most under the best pattern, in the unit of the loss, or None.
        worst_group: label of that group.
        share: fraction of the limit that is used up, or None where there is no limit.
        seconds_left: estimated seconds until the limit, or None.
    """

    stage: str
    evaluations: int = 0
    best: float | None = None
    worst: float | None = None
    worst_group: str = ""
    share: float | None = None
    seconds_left: float | None = None


Watch = Callable[[Progress], None]


class ProgressMeter:
    """Turns trials into progress.

    Args:
        fitness: what judged the trials.
        labels: group key -> what a person reads.
        stop: the limits the share is taken of.
        spent: tokens scored before the first trial, or set aside for the finalists.
        watch: is shown the progress.
    """

    def __init__(self, fitness: Fitness, labels: Mapping[str, str], stop: Stop, spent: int, watch: Watch) -> None:
        self.fitness, self.labels, self.stop, self.tokens, self.watch = fitness, labels, stop, spent, watch
        self.patterns: set[Pattern] = set()
        self.best: Trial | None = None
        self._begun: float | None = None
        self._begun_share = 0.0

    def measuring(self) -> None:
        """Begin to measure: trials replayed before say nothing of how long the rest takes."""
        if self._begun is None:
            self._begun = time.monotonic()
            self._begun_share = self.stop.share(len(self.patterns), self.tokens) or 0.0

    def __call__(self, trial: Trial) -> None:
        """Count one more trial, measured or replayed, and show the progress."""
        self.patterns.add(trial.pattern)
        self.tokens += trial.measurement.tokens
        whole = trial.fidelity == self.fitness.sample.full.passages
        good = whole and trial.met and trial.measurement.whole
        if good and (self.best is None or trial.value < self.best.value):
            self.best = trial
        share = self.stop.share(len(self.patterns), self.tokens)
        best = None if self.best is None else self.best.value
        self.watch(Progress("searching", len(self.patterns), best, *self._worst(), share, self._left(share)))

    def _worst(self) -> tuple[float | None, str]:
        if self.best is None:
            return None, ""
        group = self.fitness.worst_group(self.fitness.excess(self.best.measurement))
        return self.fitness.excess(self.best.measurement)[group], self.labels[group]

    def _left(self, share: float | None) -> float | None:
        if share is None or self._begun is None or share <= self._begun_share:
            return None
        return (time.monotonic() - self._begun) * (1 - share) / (share - self._begun_share)


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
