"""The one loop that every strategy runs in, and when it stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from patterns.budget import Budget
from patterns.errors import PatternError
from patterns.space import Pattern
from patterns.strategies import Strategy
from patterns.trials import Measurement, Trial, TrialLog

BARREN_ROUNDS = 50
"""After so many rounds in a row that ask for nothing new, the search ends."""


@dataclass
class Stop:
    """How long a search may go; None is no limit. It is not part of what the search is.

    Attributes:
        evaluations: distinct patterns measured at most.
        tokens: passage tokens scored at most.
        minutes: wall-clock minutes of this process at most.
        interrupted: set from outside (a signal handler) to stop after the pattern in flight.
    """

    evaluations: int | None = None
    tokens: int | None = None
    minutes: float | None = None
    interrupted: bool = False
    _begun: float = field(default_factory=time.monotonic)

    def reason(self, evaluations: int, tokens: int, next_tokens: int) -> str | None:
        """Why to stop now, or None.

        Args:
            evaluations: patterns measured so far.
            tokens: tokens scored so far.
            next_tokens: what one more pattern would add.
        """
        if self.interrupted:
            return "interrupted"
        if self.evaluations is not None and evaluations >= self.evaluations:
            return "evaluations"
        if self.tokens is not None and tokens + next_tokens > self.tokens:
            return "tokens"
        if self.minutes is not None and time.monotonic() - self._begun > 60 * self.minutes:
            return "minutes"
        return None

    def share(self, evaluations: int, tokens: int) -> float | None:
        """Which fraction of the search is over, by the limit that is nearest; None without a limit."""
        shares = []
        if self.evaluations:
            shares.append(evaluations / self.evaluations)
        if self.tokens:
            shares.append(tokens / self.tokens)
        if self.minutes:
            shares.append((time.monotonic() - self._begun) / (60 * self.minutes))
        return min(1.0, max(shares)) if shares else None


Measure = Callable[[list[Pattern]], Iterable[Measurement]]
"""Patterns -> their measurements, in the same order, yielded as they come."""


def search(
    strategy: Strategy,
    budget: Budget,
    log: TrialLog,
    measure: Measure,
    stop: Stop,
    *,
    effort: int,
    tokens_a_pattern: int,
    spent: int = 0,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> str:
    """Ask, measure, tell, until something says stop.

    A log that already holds trials is replayed through the strategy first: what it says was measured is not
    measured again, and the strategy ends up in the state it was in.

    Args:
        strategy: who proposes patterns.
        budget: decides which trials count.
        log: where trials go, and where they come from on resume.
        measure: measures patterns; never called twice for one pattern.
        stop: limits.
        effort: passages a pattern is measured on; written with each trial.
        tokens_a_pattern: tokens one measurement scores.
        spent: tokens already spent or set aside outside the trials; they count against ``stop.tokens``.
        on_trial: called for every trial, replayed ones included.

    Returns:
        Why the search stopped: ``evaluations``, ``tokens``, ``minutes``, ``interrupted``,
        ``strategy finished`` or ``nothing new``.

    Raises:
        PatternError: the log was not written by this strategy with this seed.
    """
    logged: Iterator[Trial] = iter(list(log.trials))
    memo: dict[Pattern, Measurement] = {}
    tokens, barren, number = spent, 0, 0
    while barren < BARREN_ROUNDS:
        asked = strategy.ask()
        if not asked:
            return "strategy finished"
        fresh = [p for p in dict.fromkeys(asked) if p not in memo]
        for trial in _replayed(logged, fresh, number, log):
            memo[trial.pattern] = trial.measurement
            tokens += trial.measurement.tokens
            on_trial(trial)
        missing = [p for p in fresh if p not in memo]
        if missing:
            done: list[Trial] = []
            reason = stop.reason(len(memo), tokens, tokens_a_pattern)
            found = iter(measure(missing))
            while reason is None and len(done) < len(missing):
                pattern = missing[len(done)]
                trial = Trial(number, pattern, budget.met(pattern), effort, next(found))
                done.append(trial)
                memo[pattern] = trial.measurement
                tokens += trial.measurement.tokens
                on_trial(trial)
                reason = stop.reason(len(memo), tokens, tokens_a_pattern)
            log.append(done)
            if len(done) < len(missing):
                return reason or "interrupted"
        barren = 0 if fresh else barren + 1
        number += 1
        strategy.tell({pattern: memo[pattern].value for pattern in asked})
    return "nothing new"


def _replayed(logged: Iterator[Trial], fresh: list[Pattern], number: int, log: TrialLog) -> Iterator[Trial]:
    for pattern in fresh:
        trial = next(logged, None)
        if trial is None:
            return
        if (trial.round, trial.pattern) != (number, pattern):
            raise PatternError(
                f"{log.path} holds other trials than this search would ask for (round {number}); "
                "it belongs to another search or another version: use a new --out"
            )
        yield trial


def finalists(trials: Iterable[Trial], most: int = 8) -> list[Trial]:
    """The best distinct trials that meet the budget, best first; equal values keep the order asked."""
    met = [trial for trial in trials if trial.met and trial.measurement.failed is None]
    return sorted(met, key=lambda trial: trial.value)[:most]
