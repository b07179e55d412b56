"""The one loop that every strategy runs in, and when it stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

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
        evaluations: distinct patterns measured at most, at whatever effort.
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


@dataclass(frozen=True)
class Effort:
    """How much of the search sample a pattern is measured on: a prefix of its fixed order.

    Attributes:
        passages: how many passages.
        tokens: how many tokens they score.
    """

    passages: int
    tokens: int


Measure = Callable[[list[Pattern], Effort], Iterable[Measurement]]
"""Patterns and an effort -> their measurements, in the same order, yielded as they come."""


def search(
    strategy: Strategy,
    budget: Budget,
    log: TrialLog,
    measure: Measure,
    stop: Stop,
    *,
    efforts: Sequence[Effort],
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
        measure: measures patterns; never called twice for one pattern and effort.
        stop: limits.
        efforts: the efforts there are, ascending; the last is the whole sample.
        spent: tokens already spent or set aside outside the trials; they count against ``stop.tokens``.
        on_trial: called for every trial, replayed ones included.

    Returns:
        Why the search stopped: ``evaluations``, ``tokens``, ``minutes``, ``interrupted``,
        ``strategy finished`` or ``nothing new``.

    Raises:
        PatternError: the log was not written by this strategy with this seed.
    """
    logged: Iterator[Trial] = iter(list(log.trials))
    ledger = _Ledger(efforts, spent, on_trial)
    barren, number = 0, 0
    while barren < BARREN_ROUNDS:
        asked = strategy.ask()
        if not asked:
            return "strategy finished"
        effort = _effort(efforts, strategy.effort)
        fresh = [p for p in dict.fromkeys(asked) if (p, effort.passages) not in ledger.measured]
        for trial in _replayed(logged, fresh, number, effort, log):
            ledger.enter(trial)
        missing = [p for p in fresh if (p, effort.passages) not in ledger.measured]
        if missing:
            done: list[Trial] = []
            reason = ledger.reason(stop, missing[0], effort)
            found = iter(measure(missing, effort))
            while reason is None and len(done) < len(missing):
                pattern = missing[len(done)]
                measurement = replace(next(found), tokens=ledger.charge(pattern, effort))
                done.append(Trial(number, pattern, budget.met(pattern), effort.passages, measurement))
                ledger.enter(done[-1])
                following = missing[len(done)] if len(done) < len(missing) else None
                reason = ledger.reason(stop, following, effort)
            log.append(done)
            if len(done) < len(missing):
                return reason or "interrupted"
        barren = 0 if fresh else barren + 1
        number += 1
        strategy.tell({pattern: ledger.measured[pattern, effort.passages].value for pattern in asked})
    return "nothing new"


class _Ledger:
    """What was measured, and what it cost."""

    def __init__(self, efforts: Sequence[Effort], spent: int, on_trial: Callable[[Trial], None]) -> None:
        self.measured: dict[tuple[Pattern, int], Measurement] = {}
        self._efforts, self._tokens, self._on_trial = efforts, spent, on_trial
        self._patterns: set[Pattern] = set()

    def enter(self, trial: Trial) -> None:
        """One more trial, measured or replayed."""
        self.measured[trial.pattern, trial.effort] = trial.measurement
        self._patterns.add(trial.pattern)
        self._tokens += trial.measurement.tokens
        self._on_trial(trial)

    def charge(self, pattern: Pattern, effort: Effort) -> int:
        """Tokens a measurement scores that no smaller effort of the same pattern has scored before."""
        before = [e.tokens for e in self._efforts if (pattern, e.passages) in self.measured]
        return effort.tokens - max((tokens for tokens in before if tokens < effort.tokens), default=0)

    def reason(self, stop: Stop, following: Pattern | None, effort: Effort) -> str | None:
        """Why to stop before the pattern that follows; None for no pattern asks for a whole effort more."""
        following_tokens = effort.tokens if following is None else self.charge(following, effort)
        # A larger effort for a pattern that was measured before is no further evaluation.
        counted = len(self._patterns) - (following in self._patterns)
        return stop.reason(counted, self._tokens, following_tokens)


def _effort(efforts: Sequence[Effort], share: float) -> Effort:
    """The smallest effort that is at least a share of the whole sample."""
    return next(effort for effort in efforts if effort.passages >= share * efforts[-1].passages - 1e-9)


def _replayed(
    logged: Iterator[Trial], fresh: list[Pattern], number: int, effort: Effort, log: TrialLog
) -> Iterator[Trial]:
    for pattern in fresh:
        trial = next(logged, None)
        if trial is None:
            return
        if (trial.round, trial.pattern, trial.effort) != (number, pattern, effort.passages):
            raise PatternError(
                f"{log.path} holds other trials than this search would ask for (round {number}); "
                "it belongs to another search or another version: use a new --out"
            )
        yield trial


def finalists(trials: Iterable[Trial], effort: int, most: int = 8) -> list[Trial]:
    """The best distinct trials of one effort that meet the budget, best first; equal values keep the order asked."""
    met = [t for t in trials if t.met and t.effort == effort and t.measurement.failed is None]
    return sorted(met, key=lambda trial: trial.value)[:most]
