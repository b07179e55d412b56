"""Fidelities: how much of the search sample a pattern is measured on, in nested steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from evop.tokens.passages import TokenPassages
from patterns import Fidelity

SHARES = (1 / 16, 1 / 4, 1.0)
"""Fractions of the passages at which a fidelity may end; the first that holds every group is the smallest."""


def fidelities_of(passages: TokenPassages, shares: Sequence[float] = SHARES) -> tuple[Fidelity, ...]:
    """List the fidelities of a sample at some shares, ascending; the last is the whole sample.

    Each is a prefix of the sample's fixed, group-balanced order, and holds every group, so that the worst group can
    be named at every fidelity. A small sample has fewer fidelities than there are shares.
    """
    count = len(passages.ids)
    first = {group: i for i, group in reversed(list(enumerate(passages.groups)))}
    covering = 1 + max(first.values())
    ends = sorted({max(covering, math.ceil(share * count)) for share in shares})
    return tuple(fidelity_of(passages.take(range(end))) for end in ends)


def fidelity_of(passages: TokenPassages) -> Fidelity:
    """Describe all of some passages as a fidelity."""
    return Fidelity(len(passages.ids), passages.total, passages.tokens_by_group)


def increments(passages: TokenPassages, fidelities: tuple[Fidelity, ...]) -> tuple[TokenPassages, ...]:
    """Part passages into what each fidelity adds to the one before.

    Increments are measured apart, so that a larger fidelity continues a smaller one.
    """
    ends = [0, *(fidelity.passages for fidelity in fidelities)]
    return tuple(passages.take(range(a, b)) for a, b in pairwise(ends))
