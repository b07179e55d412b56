"""The one loop that every strategy runs in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from patterns.budget import Budget
from patterns.errors import PatternError
from patterns.ledger import FINALISTS, Fidelity, Ledger, Request, Reserve
from patterns.part import Pattern
from patterns.stop import Stop
from patterns.strategies import Strategy
from patterns.trials import Measurement, Trial, TrialLog

BARREN_ROUNDS = 50
"""Rounds in a row that ask for nothing new, after which the search ends."""
BATCH = 32
"""Patterns measured together at most: what is measured is on the disk when they are done."""
FIRST_PART = 4
"""Patterns of a round measured, at least, before the others are held against the best of them."""

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
    reserve: Reserve = lambda finalists: 0,
    bounds: bool = True,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> str:
    """Run a strategy until it has finished or a limit is reached: ask, measure, tell, round by round.

    A log that already holds trials is replayed through the strategy first: what it holds is not measured again, and the
    strategy ends up in the state it was in.

    Args:
        strategy: proposes the patterns.
        budget: decides which trials count.
        log: takes the trials, and gives back those of before on resume.
        measure: measures patterns; called twice for a pattern and fidelity only to go on where it stopped early.
        stop: the limits.
        fidelities: the fidelities there are, ascending; the last is the whole sample.
        spent: tokens already spent outside the trials; they count against ``stop.tokens``.
        reserve: number of finalists so far -> tokens to keep for the end; they count against ``stop.tokens`` too.
        bounds: whether measurements of patterns that cannot matter stop early.
        on_trial: is called with every trial, replayed ones included.

    Returns:
        The reason it ended: ``evaluations``, ``tokens``, ``minutes``, ``interrupted``,
        ``strategy finished`` or ``nothing new``.

    Raises:
        PatternError: the log was not written by this strategy with this seed.
    """
    logged: Iterator[Trial] = iter(list(log.trials))
    ledger = Ledger(budget, fidelities, spent, reserve, on_trial)
    barren, number = 0, 0
    while barren < BARREN_ROUNDS:
        asked = strategy.ask()
        if not asked:
            return "strategy finished"
        fidelity = _fidelity(fidelities, strategy.fidelity)
        survivors = strategy.survivors if bounds else None
        fresh = False
        for part in _parts(list(dict.fromkeys(asked)), survivors):
            request = ledger.request(number, asked, part, fidelity, survivors)
            fresh = fresh or any((pattern, fidelity.passages) not in ledger.measured for pattern in request.patterns)
            request = _replay(logged, request, ledger, log)
            if reason := _measure(request, ledger, measure, stop, log):
                return reason
        barren = 0 if fresh else barren + 1
        number += 1
        strategy.tell({pattern: ledger.measured[pattern, fidelity.passages].value for pattern in asked})
    return "nothing new"


def _measure(request: Request, ledger: Ledger, measure: Measure, stop: Stop, log: TrialLog) -> str | None:
    """Measure what a request holds as far as the limits allow; return why that ended early, or None."""
    while request.patterns:
        # A measurement that stops early costs less than it might: there may be room for more afterwards.
        room, reason = ledger.room(stop, request)
        if reason:
            return reason
        trials: list[Trial] = []
        room = min(room, BATCH)
        for pattern, measured in zip(request.patterns, measure(request.first(room)), strict=False):
            measured = replace(measured, tokens=ledger.charge(pattern, request.fidelity, measured))
            met = ledger.budget.met(pattern)
            trials.append(Trial(request.round, pattern, met, request.fidelity.passages, measured))
            ledger.enter(trials[-1])
        log.append(trials)
        if len(trials) < room:
            return stop.over or "interrupted"
        request = request.rest(room)
    return None


def _parts(patterns: list[Pattern], survivors: int | None) -> Iterator[list[Pattern]]:
    """Yield a round in two parts: as many as survive, measured to their end, and the others.

    The others are held against the best of the first part: one that is certain to be worse than the survivors stops
    early, and its value is told as "at least so much". Neither what is asked next nor the answer depends on it.
    More parts would make for tighter bounds, but what patterns share is run once in each.
    """
    first = len(patterns) if survivors is None else max(survivors, FIRST_PART)
    yield patterns[:first]
    if patterns[first:]:
        yield patterns[first:]


def _fidelity(fidelities: Sequence[Fidelity], share: float) -> Fidelity:
    """Return the smallest fidelity that is at least a share of the whole sample."""
    return next(fidelity for fidelity in fidelities if fidelity.passages >= share * fidelities[-1].passages - 1e-9)


def _replay(logged: Iterator[Trial], request: Request, ledger: Ledger, log: TrialLog) -> Request:
    """Enter the trials of a request that the log holds; return what is left of the request."""
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
    """Return the best distinct trials of one fidelity that meet the budget, best first.

    Args:
        trials: the trials of a search, in the order asked; equal values keep it.
        fidelity: number of passages.
        most: number of trials at most.
    """
    met = [t for t in trials if t.met and t.fidelity == fidelity and t.measurement.whole]
    return sorted(met, key=lambda trial: trial.value)[:most]
