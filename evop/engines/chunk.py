"""What of a request one worker measures, and what comes back. Knows no engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evop.evaluator import Profile
from evop.fitness.store import LossStore, Sums
from patterns import Measurement, Pattern, Request

Row = tuple[Pattern, int, Sums]
"""A pattern, an increment of the search sample, and what was measured of it there."""
A_WORKER = 2
"""So many chunks a worker, where they stay as large as ``LEAST``: one that is done early takes another."""
LEAST = 4
"""So many patterns a chunk, at least, before there is more than one a worker: a beginning that two chunks share is run
twice."""


@dataclass(frozen=True)
class Chunk:
    """Some patterns of a request.

    Attributes:
        places: where in the request they stand.
        request: the patterns and what goes with them.
        order: of the groups.
        known: what was measured of them before.
    """

    places: tuple[int, ...]
    request: Request
    order: tuple[str, ...]
    known: tuple[Row, ...]


@dataclass(frozen=True)
class Done:
    """A chunk was measured: one measurement a pattern, what of it was not known before, where the time went."""

    measurements: tuple[Measurement, ...]
    learnt: tuple[Row, ...]
    profile: Profile


@dataclass(frozen=True)
class Refused:
    """It cannot be measured, by any worker: what a person can do about it."""

    says: str


@dataclass(frozen=True)
class Lost:
    """The worker died or ran out of memory; another may fare better."""

    why: str


Outcome = Done | Refused | Lost


def chunks(request: Request, order: Sequence[str], workers: int, store: LossStore, increments: int) -> list[Chunk]:
    """Deal a request out: patterns that begin alike stay together, for workers run what they share once.

    Args:
        request: the patterns.
        order: of the groups.
        workers: how many there are.
        store: what was measured before; workers remember nothing, so that it does not matter who gets what.
        increments: how many of them the sample has.
    """
    count = len(request.patterns)
    alike = sorted(range(count), key=lambda at: request.patterns[at].levels)
    pieces = min(count, max(workers, min(A_WORKER * workers, count // LEAST)))
    found = []
    for piece in range(pieces):
        places = tuple(alike[piece * count // pieces : (piece + 1) * count // pieces])
        patterns = [request.patterns[at] for at in places]
        part = Request(request.round, patterns, request.fidelity, [request.bounds[at] for at in places])
        found.append(Chunk(places, part, tuple(order), rows(store, patterns, increments)))
    return found


def rows(store: LossStore, patterns: Sequence[Pattern], increments: int) -> tuple[Row, ...]:
    """What a store holds of some patterns."""
    every = (
        (pattern, increment, store.get(pattern, increment)) for pattern in patterns for increment in range(increments)
    )
    return tuple((pattern, increment, dict(sums)) for pattern, increment, sums in every if sums)
