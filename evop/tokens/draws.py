"""Ways to draw half of every group's passages, for what is measured on a part of a sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from calibration.seeded import digest
from evop.tokens.passages import TokenPassages

Ids = Sequence[tuple[int, ...]]
"""Token ids of the passages of one group."""


def at_random(ids: Ids) -> Sequence[Any]:
    """Order passages by a hash of their tokens: at random, and the same whatever else is in the sample."""
    return [digest(*passage) for passage in ids]


def longest(ids: Ids) -> Sequence[Any]:
    """Order passages by how many tokens they have, the most first."""
    return [-len(passage) for passage in ids]


def typical(ids: Ids) -> Sequence[Any]:
    """Order passages by how near they are to their group's mean, by the tokens that they hold, the nearest first.

    A passage is the counts of its tokens, scaled to length one; near is what has a large product with the mean.
    """
    words = {word: at for at, word in enumerate(sorted({word for passage in ids for word in passage}))}
    counts = np.zeros((len(ids), len(words)))
    for row, passage in zip(counts, ids, strict=True):
        np.add.at(row, [words[word] for word in passage], 1)
    counts /= np.linalg.norm(counts, axis=1, keepdims=True)
    return [float(-near) for near in counts @ counts.mean(axis=0)]


def odd(ids: Ids) -> Sequence[Any]:
    """Order passages by how far they are from their group's mean, the farthest first."""
    return [-near for near in typical(ids)]


DRAWS: dict[str, Callable[[Ids], Sequence[Any]]] = {
    "random": at_random,
    "longest": longest,
    "typical": typical,
    "odd": odd,
}
"""Name -> what puts the passages of a group in order; those drawn come first, of equals the earlier one."""


def drawn(passages: TokenPassages, draw: str) -> TokenPassages:
    """Take half of every group's passages, rounded up, in their own order.

    Args:
        passages: text.
        draw: a name of ``DRAWS``; "" takes all.
    """
    if not draw:
        return passages
    taken: list[int] = []
    for group in passages.tokens_by_group:
        own = [i for i, other in enumerate(passages.groups) if other == group]
        places = DRAWS[draw]([passages.ids[i] for i in own])
        by_place = sorted(range(len(own)), key=lambda at: places[at])
        taken += [own[at] for at in by_place[: (len(own) + 1) // 2]]
    return passages.take(sorted(taken))
