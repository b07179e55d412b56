"""Efforts: how much of the search sample a pattern is measured on, in nested steps."""

from __future__ import annotations

import math
from itertools import pairwise

from evop.tokens.passages import TokenPassages
from patterns import Effort

SHARES = (1 / 16, 1 / 4, 1.0)
"""Shares of the passages at which an effort may end; the first that holds every group is the smallest."""


def efforts_of(passages: TokenPassages) -> tuple[Effort, ...]:
    """The efforts of a sample, ascending; the last is the whole.

    Each is a prefix of the sample's fixed, group-balanced order, and holds every group, so that the worst group can
    be named at every effort. A small sample has fewer efforts than there are shares.
    """
    count = len(passages.ids)
    first = {group: i for i, group in reversed(list(enumerate(passages.groups)))}
    covering = 1 + max(first.values())
    ends = sorted({max(covering, math.ceil(share * count)) for share in SHARES})
    return tuple(effort_of(passages.take(range(end))) for end in ends)


def effort_of(passages: TokenPassages) -> Effort:
    """The effort that is all of some passages."""
    return Effort(len(passages.ids), passages.total, passages.tokens_by_group)


def stretches(passages: TokenPassages, efforts: tuple[Effort, ...]) -> tuple[TokenPassages, ...]:
    """What each effort adds to the one before; measured apart, so that a larger effort continues a smaller one."""
    ends = [0, *(effort.passages for effort in efforts)]
    return tuple(passages.take(range(a, b)) for a, b in pairwise(ends))
