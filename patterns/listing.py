"""Every pattern that meets a demand, listed; and whether there is any."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from patterns.demand import Demand
from patterns.part import Pattern

CANDIDATES_PER_PATTERN = 50
"""Candidates looked at for each pattern listed before a space counts as large."""


def patterns(demand: Demand) -> Iterator[Pattern]:
    """Yield every pattern that meets a demand, in lexical order of the removed parts."""
    return filter(demand.met, _candidates(demand, (), demand.space.legality.start, 0))


def few(demand: Demand, most: int) -> list[Pattern] | None:
    """Return every pattern that meets a demand, where there are at most ``most``; None where there are more.

    It also gives up, with None, where looking takes many times as long as listing so many.
    """
    listed: list[Pattern] = []
    for count, pattern in enumerate(_candidates(demand, (), demand.space.legality.start, 0)):
        if demand.met(pattern):
            listed.append(pattern)
        if len(listed) > most or count > CANDIDATES_PER_PATTERN * most:
            return None
    return listed


def reachable(demand: Demand) -> bool:
    """Return whether a legal pattern removes enough.

    For each state of the rule only the largest cost that can be gone there matters.
    """
    rule = demand.space.legality
    if not rule.couples:
        return demand.left[0] >= demand.need
    if not demand.free:
        return False
    most: dict[Hashable, int] = {rule.start: 0}
    for i, (part, ladder) in enumerate(zip(demand.space.parts, demand.ladders, strict=True)):
        after: dict[Hashable, int] = {}
        for state, gone in most.items():
            for level in rule.choices(state, part) if i in demand.free else (0,):
                reached = rule.step(state, part, level)
                if reached is not None:
                    after[reached] = max(after.get(reached, 0), gone + ladder[level])
        most = after
    return any(rule.final(state) and gone >= demand.need for state, gone in most.items())


def _candidates(demand: Demand, levels: tuple[int, ...], state: Hashable, gone: int) -> Iterator[Pattern]:
    """Yield legal patterns that begin with some levels and remove enough, also those with units to put back."""
    i, space = len(levels), demand.space
    if i == len(space.parts):
        if space.legality.final(state) and gone >= demand.need:
            yield Pattern(levels)
        return
    if gone + demand.left[i] < demand.need:
        return
    part, couples = space.parts[i], space.legality.couples
    choices = range(part.top + 1) if i in demand.free and (couples or gone < demand.need) else range(1)
    # Either order soon meets patterns from which little may come back.
    for level in choices if couples else reversed(choices):
        reached = space.legality.step(state, part, level)
        if reached is not None:
            yield from _candidates(demand, (*levels, level), reached, gone + demand.ladders[i][level])
