"""What one split costs, passage by passage, under the dense model and under every pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from evop.auditing.answers import Answers
from evop.losses.lines import items_of
from evop.losses.means import Means, excess_means, simulated_noise
from evop.losses.table import LossTable
from evop.tokens.passages import TokenPassages

FEWEST_ITEMS = 8
"""A group with fewer questions is listed, and is neither the worst nor called worse: it says next to nothing."""


@dataclass(frozen=True)
class SplitLosses:
    """The text, or the questions, of one split under the dense model and every pattern.

    Attributes:
        split: ``"audit"`` or ``"unseen"``.
        passages: the passages that were measured, all of one kind.
        dense: losses of the dense model: nats of text, 1 for every question answered wrongly.
        pruned: losses of each pattern, by its name.
        answers: the answers to the questions; None for text.
    """

    split: str
    passages: TokenPassages
    dense: LossTable
    pruned: Mapping[str, LossTable]
    answers: Answers | None = None

    @property
    def kind(self) -> Literal["text", "item"]:
        """The kind of the groups: ``text``, or ``item`` for questions."""
        return "text" if self.answers is None else "item"

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Group keys, sorted."""
        return tuple(sorted(self.dense.names))

    @cached_property
    def judged(self) -> np.ndarray:
        """Which groups are large enough to be judged, bool [groups]: all of text, and all where none is."""
        counts = np.array([self.passages.counts_by_group[group] for group in self.groups])
        enough = counts >= FEWEST_ITEMS
        return enough if self.kind == "item" and enough.any() else np.ones(len(counts), dtype=bool)

    def excess(self, pattern: str) -> np.ndarray:
        """Subtract the dense model's mean loss per group from a pattern's.

        Returns:
            Nats per token, or share of the questions; float64 [groups].
        """
        pruned, dense = self.pruned[pattern].by_group, self.dense.by_group
        return np.array([pruned[group] - dense[group] for group in self.groups])

    def means(self, pattern: str) -> Means:
        """Compute the excess of each group under a pattern, and how documents vary about it."""
        extra = self.pruned[pattern].loss - self.dense.loss
        return excess_means(extra, self.dense.counts.astype(float), *self._places, self.kind)

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """Number the document and the group of each passage, int64 [passages] each."""
        documents = {name: i for i, name in enumerate(sorted(set(self.passages.documents)))}
        groups = {name: i for i, name in enumerate(self.groups)}
        owner = np.array([documents[name] for name in self.passages.documents])
        return owner, np.array([groups[name] for name in self.passages.groups])

    def noise(self, draws: int) -> np.ndarray:
        """Simulate the errors of the means in further audits, in standard errors: float64 [draws, patterns, groups].

        The draws depend on split and group alone, so that patterns are paired.
        """
        extra = np.array([table.loss - self.dense.loss for table in self.pruned.values()])
        return simulated_noise(extra, self.dense.counts, *self._places, draws, list(self.split.encode()))

    def at_equal_counts(self, pattern: str) -> tuple[dict[str, float], int]:
        """Measure the excess per judged group on as many tokens, or questions, as the smallest of them has.

        A maximum over noisy means favours small groups; equal counts make the groups comparable.

        Returns:
            Excess of each group, and the tokens per group (reached by whole passages), or the questions.
        """
        judged = [group for group, enough in zip(self.groups, self.judged, strict=True) if enough]
        least = min(self.passages.counts_by_group[group] for group in judged)
        kept: list[int] = []
        taken = dict.fromkeys(self.groups, 0)
        for i, (group, count) in enumerate(zip(self.passages.groups, self.passages.counts, strict=True)):
            if group in judged and taken[group] < least:
                kept.append(i)
                taken[group] += int(count)
        part = SplitLosses(
            self.split, self.passages.take(kept), self.dense.take(kept), {pattern: self.pruned[pattern].take(kept)}
        )
        return dict(zip(part.groups, map(float, part.excess(pattern)), strict=True)), least

    def members(self, group: str) -> list[int]:
        """List the passages of a group, by their place in ``passages``."""
        return [i for i, name in enumerate(self.passages.groups) if name == group]


def split_losses(
    split: str, passages: TokenPassages, lines: np.ndarray, names: Sequence[str], metric: str
) -> list[SplitLosses]:
    """Separate the text of a split from its questions; a kind that the split lacks is left out.

    Args:
        split: the name of the split.
        passages: its passages of both kinds.
        lines: loss of every line, float64 [1 + patterns, lines], nats, the dense model's first.
        names: the names of the patterns.
        metric: how choices are compared.
    """
    items, _ = items_of(passages)
    text = sorted(set(range(len(passages.ids))) - set(items))
    kinds = []
    for members, is_item in ((text, False), (items, True)):
        if not members:
            continue
        part = passages.take(members)
        at = np.concatenate([np.arange(passages.lines[i], passages.lines[i + 1]) for i in members])
        answers = Answers.of(metric, lines[:, at], names, part) if is_item else None
        losses = lines[:, at] if answers is None else answers.wrong
        tables = [LossTable(part.groups, row, part.counts) for row in losses]
        kinds.append(SplitLosses(split, part, tables[0], dict(zip(names, tables[1:], strict=True)), answers))
    return kinds
