"""Every pattern that meets a demand, listed."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from patterns.demand import Amounts, Demand
from patterns.part import Pattern

CANDIDATES_PER_PATTERN = 50
"""Candidates looked at for each pattern listed before a space counts as large."""


def patterns(demand: Demand) -> Iterator[Pattern]:
    """Yield every pattern that meets a demand, in lexical order of the removed parts."""
    return filter(demand.met, _beginning(demand))


def few(demand: Demand, most: int) -> list[Pattern] | None:
    """Return every pattern that meets a demand, where there are at most ``most``; None where there are more.

    It also gives up, with None, where looking takes many times as long as listing so many.
    """
    listed: list[Pattern] = []
    for count, pattern in enumerate(_beginning(demand)):
        if demand.met(pattern):
            listed.append(pattern)
        if len(listed) > most or count > CANDIDATES_PER_PATTERN * most:
            return None
    return listed


def _beginning(demand: Demand) -> Iterator[Pattern]:
    """Yield legal patterns that remove enough, also those with units to put back."""
    return _candidates(demand, (), demand.space.legality.start, (0,) * len(demand.needs))


def _candidates(demand: Demand, levels: tuple[int, ...], state: Hashable, gone: Amounts) -> Iterator[Pattern]:
    """Yield those among them that begin with some levels."""
    i, space = len(levels), demand.space
    if i == len(space.parts):
        if space.legality.final(state) and demand.suffices(gone):
            yield Pattern(levels)
        return
    if not demand.can_suffice(gone, i):
        return
    part, couples = space.parts[i], space.legality.couples
    choices = range(part.top + 1) if i in demand.free and (couples or not demand.suffices(gone)) else range(1)
    # Either order soon meets patterns from which little may come back.
    for level in choices if couples else reversed(choices):
        reached = space.legality.step(state, part, level)
        if reached is not None:
            further = tuple(map(sum, zip(gone, demand.ladders[i][level], strict=True)))
            yield from _candidates(demand, (*levels, level), reached, further)
