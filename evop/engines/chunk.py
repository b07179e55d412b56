"""A chunk of a request, as one worker measures it, and what comes back. Knows no engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evop.evaluator import Profile
from evop.fitness.store import LossStore, Sums
from patterns import Measurement, Pattern, Request

Row = tuple[Pattern, int, Sums]
"""A pattern, an increment of the search sample, and the losses of the pattern there."""
CHUNKS_PER_WORKER = 2
"""Chunks per worker, so that one that is done early takes another; fewer where chunks would be smaller than
``FEWEST_PATTERNS``."""
FEWEST_PATTERNS = 4
"""Patterns per chunk at least, where there is more than one chunk per worker: a beginning that two chunks share is run
twice."""


@dataclass(frozen=True)
class Chunk:
    """Some patterns of a request.

    Attributes:
        places: index of each pattern in the whole request.
        request: the patterns, and how far they are measured.
        order: the groups in the order in which they are measured.
        known: what was measured of the patterns before.
    """

    places: tuple[int, ...]
    request: Request
    order: tuple[str, ...]
    known: tuple[Row, ...]


@dataclass(frozen=True)
class Done:
    """Says that a chunk was measured.

    Attributes:
        measurements: one measurement per pattern, in the order of the chunk.
        learnt: what was measured and not known before.
        profile: where the worker's time went.
    """

    measurements: tuple[Measurement, ...]
    learnt: tuple[Row, ...]
    profile: Profile


@dataclass(frozen=True)
class Refused:
    """Says that no worker can measure a chunk.

    Attributes:
        says: what is wrong, and what a person can do about it.
    """

    says: str


@dataclass(frozen=True)
class Lost:
    """Says that a worker died or ran out of memory; another may measure its chunk.

    Attributes:
        why: what happened, in one line.
    """

    why: str


Outcome = Done | Refused | Lost


def chunks(request: Request, order: Sequence[str], workers: int, store: LossStore, increments: int) -> list[Chunk]:
    """Deal a request out in chunks: patterns that begin alike stay together, for a worker runs what they share once.

    Args:
        request: the patterns, and how far they are measured.
        order: the groups in the order in which they are measured.
        workers: number of workers.
        store: what was measured before; workers remember nothing, so that it does not matter who gets what.
        increments: number of increments of the sample.
    """
    count = len(request.patterns)
    by_levels = sorted(range(count), key=lambda at: request.patterns[at].levels)
    pieces = min(count, max(workers, min(CHUNKS_PER_WORKER * workers, count // FEWEST_PATTERNS)))
    dealt = []
    for piece in range(pieces):
        places = tuple(by_levels[piece * count // pieces : (piece + 1) * count // pieces])
        patterns = [request.patterns[at] for at in places]
        part = Request(request.round, patterns, request.fidelity, [request.bounds[at] for at in places])
        dealt.append(Chunk(places, part, tuple(order), rows(store, patterns, increments)))
    return dealt


def rows(store: LossStore, patterns: Sequence[Pattern], increments: int) -> tuple[Row, ...]:
    """List what a store holds of some patterns."""
    held = (
        (pattern, increment, store.get(pattern, increment)) for pattern in patterns for increment in range(increments)
    )
    return tuple((pattern, increment, dict(sums)) for pattern, increment, sums in held if sums)
