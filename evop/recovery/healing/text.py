"""The text that is learned from: which passages there are of each group, and which come next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from evop.recovery.samples import ANCHOR
from evop.recovery.text import joined
from evop.tokens.passages import TokenPassages


@dataclass
class Drawn:
    """How far the text was read.

    Attributes:
        passages: number of passages drawn of each group, over all rounds.
        credit: tokens that each group is owed.
    """

    passages: dict[str, int] = field(default_factory=dict)
    credit: dict[str, float] = field(default_factory=dict)


class HealingText:
    """Passages to learn from, drawn group by group.

    A passage is a row of a batch, and begins as the tokenizer begins a sequence: so it is read just as it is measured.
    Each group's passages come in a shuffled order; when all were read they come again, in another order.

    Args:
        passages: text of ``train``.
        anchor: text of no named domain, or None.
        seed: decides the orders.
    """

    def __init__(self, passages: TokenPassages, anchor: TokenPassages | None, seed: int) -> None:
        self.passages = passages if anchor is None else joined(passages, anchor)
        self.seed = seed
        self._members: dict[str, list[int]] = {}
        self._orders: dict[str, tuple[int, np.ndarray]] = {}
        for i, group in enumerate(self.passages.groups):
            self._members.setdefault(group, []).append(i)

    @property
    def groups(self) -> tuple[str, ...]:
        """Keys of the groups that have text."""
        return tuple(self._members)

    def batch(self, weights: Mapping[str, float], tokens: int, drawn: Drawn) -> list[int]:
        """Draw passages until they hold enough tokens; the group that is owed most comes next.

        What a group is owed grows with its weight, token by token, and shrinks by what is drawn of it. So groups have
        their shares in tokens, however long their passages are, and no batch lacks a group by bad luck.

        Args:
            weights: share of each group, together 1; groups of weight 0 are left out.
            tokens: scored tokens that the batch holds at least.
            drawn: how far the text was read; is brought up to date.

        Returns:
            Indices of the passages.
        """
        wanted = [group for group in self.groups if weights.get(group, 0) > 0]
        chosen: list[int] = []
        while tokens > 0:
            group = max(wanted, key=lambda name: drawn.credit.get(name, 0.0))
            chosen.append(self._next(group, drawn))
            size = int(self.passages.scored[chosen[-1]])
            for name in wanted:
                drawn.credit[name] = drawn.credit.get(name, 0.0) + weights[name] * size
            drawn.credit[group] -= size
            tokens -= size
        return chosen

    def _next(self, group: str, drawn: Drawn) -> int:
        members, number = self._members[group], drawn.passages.get(group, 0)
        drawn.passages[group] = number + 1
        time, place = divmod(number, len(members))
        if group not in self._orders or self._orders[group][0] != time:
            rng = np.random.default_rng([self.seed, time, *group.encode()])
            self._orders[group] = time, rng.permutation(len(members))
        return members[int(self._orders[group][1][place])]


def with_anchor(weights: Mapping[str, float], share: float) -> dict[str, float]:
    """Give the anchor its fixed share, and the groups what is left of theirs."""
    if share == 0:
        return dict(weights)
    return {**{group: (1 - share) * weight for group, weight in weights.items()}, ANCHOR: share}
