"""The one loop that every strategy runs in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from patterns.budget import Budget
from patterns.errors import PatternError
from patterns.ledger import FINALISTS, Fidelity, Ledger, Request
from patterns.part import Pattern
from patterns.stop import Stop
from patterns.strategies import Strategy
from patterns.trials import Measurement, Trial, TrialLog

BARREN_ROUNDS = 50
"""After so many rounds in a row that ask for nothing new, the search ends."""
PIECE = 32
"""Patterns that are measured together at most: what is measured is on the disk when they are done."""
FIRST_PART = 4
"""Patterns of a round that are measured, at least, before the others are held against the best of them."""

Measure = Callable[[Request], Iterable[Measurement]]
"""What is to be measured -> the measurements, in the same order; fewer where it was told to stop."""


def search(
    strategy: Strategy,
    budget: Budget,
    log: TrialLog,
    measure: Measure,
    stop: Stop,
    *,
    fidelities: Sequence[Fidelity],
    spent: int = 0,
    bounds: bool = True,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> str:
    """Ask, measure, tell, until something says stop.

    A log that already holds trials is replayed through the strategy first: what it says was measured is not
    measured again, and the strategy ends up in the state it was in.

    Where only the best few of a round decide what the strategy does next, the round is measured in two parts, the first
    as asked. The others are held against the best few of it: one that is certain to be worse is not
    measured to its end, and its value is told as "at least so much". Neither what is asked nor what the search
    answers depends on it.

    Args:
        strategy: who proposes patterns.
        budget: decides which trials count.
        log: where trials go, and where they come from on resume.
        measure: measures patterns; never called twice for one pattern and fidelity, but to go on with one that was cut.
        stop: limits.
        fidelities: the fidelities there are, ascending; the last is the whole sample.
        spent: tokens already spent or set aside outside the trials; they count against ``stop.tokens``.
        bounds: whether patterns that cannot matter are cut.
        on_trial: called for every trial, replayed ones included.

    Returns:
        Why the search stopped: ``evaluations``, ``tokens``, ``minutes``, ``interrupted``,
        ``strategy finished`` or ``nothing new``.

    Raises:
        PatternError: the log was not written by this strategy with this seed.
    """
    logged: Iterator[Trial] = iter(list(log.trials))
    ledger = Ledger(budget, fidelities, spent, on_trial)
    barren, number = 0, 0
    while barren < BARREN_ROUNDS:
        asked = strategy.ask()
        if not asked:
            return "strategy finished"
        fidelity = _effort(fidelities, strategy.fidelity)
        keep = strategy.keep if bounds else None
        fresh = False
        for part in _parts(list(dict.fromkeys(asked)), keep):
            request = ledger.request(number, asked, part, fidelity, keep)
            fresh = fresh or any((pattern, fidelity.passages) not in ledger.measured for pattern in request.patterns)
            request = _replayed(logged, request, ledger, log)
            if reason := _measured(request, ledger, measure, stop, log):
                return reason
        barren = 0 if fresh else barren + 1
        number += 1
        strategy.tell({pattern: ledger.measured[pattern, fidelity.passages].value for pattern in asked})
    return "nothing new"


def _measured(request: Request, ledger: Ledger, measure: Measure, stop: Stop, log: TrialLog) -> str | None:
    """Measure what is asked as far as the limits allow; returns why it ended before, or None."""
    while request.patterns:
        # What is cut costs less than it might: there may be room for more afterwards.
        room, reason = ledger.room(stop, request)
        if reason:
            return reason
        done: list[Trial] = []
        room = min(room, PIECE)
        for pattern, found in zip(request.patterns, measure(request.first(room)), strict=False):
            found = replace(found, tokens=ledger.charge(pattern, request.fidelity, found))
            done.append(Trial(request.round, pattern, ledger.budget.met(pattern), request.fidelity.passages, found))
            ledger.enter(done[-1])
        log.append(done)
        if len(done) < room:
            return stop.over or "interrupted"
        request = request.rest(room)
    return None


def _parts(patterns: list[Pattern], keep: int | None) -> Iterator[list[Pattern]]:
    """A round in two: as many as matter, and the others, which are held against them.

    More parts would make for tighter bounds, but what patterns share is run once in each.
    """
    first = len(patterns) if keep is None else max(keep, FIRST_PART)
    yield patterns[:first]
    if patterns[first:]:
        yield patterns[first:]


def _effort(fidelities: Sequence[Fidelity], share: float) -> Fidelity:
    """The smallest fidelity that is at least a share of the whole sample."""
    return next(fidelity for fidelity in fidelities if fidelity.passages >= share * fidelities[-1].passages - 1e-9)


def _replayed(logged: Iterator[Trial], request: Request, ledger: Ledger, log: TrialLog) -> Request:
    """Enter what the log holds of a request; returns what is left of it."""
    for done, pattern in enumerate(request.patterns):
        trial = next(logged, None)
        if trial is None:
            return request.rest(done)
        if (trial.round, trial.pattern, trial.fidelity) != (request.round, pattern, request.fidelity.passages):
            raise PatternError(
                f"{log.path} holds other trials than this search would ask for (round {request.round}); "
                "it belongs to another search or another version: use a new --out"
            )
        ledger.enter(trial)
    return request.rest(len(request.patterns))


def finalists(trials: Iterable[Trial], fidelity: int, most: int = FINALISTS) -> list[Trial]:
    """The best distinct trials of one fidelity that meet the budget, best first; equal values keep the order asked."""
    met = [t for t in trials if t.met and t.fidelity == fidelity and t.measurement.whole]
    return sorted(met, key=lambda trial: trial.value)[:most]
