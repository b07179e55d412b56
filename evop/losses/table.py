"""Losses of one pattern, passage by passage, and their means per group. Numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class LossTable:
    """What one pattern loses on some passages.

    Attributes:
        groups: group key of each passage.
        loss: summed loss of each passage, float64 [passages]: in nats of a text, as a share of a question.
        counts: number of things that a mean is taken over, int64 [passages]: scored tokens of a text, 1 of a question.
    """

    groups: tuple[str, ...]
    loss: np.ndarray
    counts: np.ndarray

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Group keys in order of first appearance."""
        return tuple(dict.fromkeys(self.groups))

    @cached_property
    def by_group(self) -> dict[str, float]:
        """Mean loss of each group: in nats per token, or as a share of its questions."""
        sums, counts = self.sums()
        return {name: float(sums[i] / counts[i]) for i, name in enumerate(self.names)}

    @property
    def finite(self) -> bool:
        """Whether every loss is a number."""
        return bool(np.isfinite(self.loss).all())

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Add losses and counts up per group: float64 [groups] and int64 [groups]."""
        at = {name: i for i, name in enumerate(self.names)}
        index = np.array([at[group] for group in self.groups], dtype=np.int64)
        sums = np.bincount(index, weights=self.loss, minlength=len(at))
        counts = np.bincount(index, weights=self.counts, minlength=len(at)).astype(np.int64)
        return sums, counts

    def take(self, indices: Sequence[int]) -> LossTable:
        """Take some of the passages, in the order of the indices."""
        chosen = list(indices)
        return LossTable(tuple(self.groups[i] for i in chosen), self.loss[chosen], self.counts[chosen])


def excess(pruned: Mapping[str, float], dense: Mapping[str, float]) -> dict[str, float]:
    """Subtract the dense model's mean loss from the pruned model's, per group."""
    return {group: pruned[group] - dense[group] for group in dense}


def pooled(means: Sequence[Mapping[str, float]], counts: Sequence[Mapping[str, int]]) -> dict[str, float]:
    """Average each group's mean over splits, by the tokens or questions that each split has of it."""
    together = {group: sum(count[group] for count in counts) for group in means[0]}
    return {
        group: sum(mean[group] * count[group] for mean, count in zip(means, counts, strict=True)) / together[group]
        for group in means[0]
    }
