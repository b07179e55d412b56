"""The sample: the passages that a search measures on, and what was measured on them already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.fitness.fidelities import fidelity_of, increments
from evop.fitness.folds import CrossFit
from evop.fitness.store import LossStore, Sums
from evop.losses.table import LossTable
from evop.model.loaded import wider
from evop.tokens.passages import TokenPassages
from patterns import Fidelity, Pattern

Losses = Mapping[str, float]
"""Group -> mean loss, in nats per token or as a share of its questions."""


@dataclass(frozen=True)
class Sample:
    """Measures patterns on fixed passages at several fidelities.

    Attributes:
        evaluator: runs the model.
        passages: the passages, in their fixed order.
        fidelities: the fidelities, ascending; the last is all of the passages.
        store: what was measured already.
        cross: judges thinned parts by units that other passages rank; None for the evaluator's own ranking.
    """

    evaluator: Evaluator
    passages: TokenPassages
    fidelities: tuple[Fidelity, ...]
    store: LossStore = field(default_factory=lambda: LossStore(None, {}))
    cross: CrossFit | None = None

    @classmethod
    def whole(cls, evaluator: Evaluator, passages: TokenPassages) -> Sample:
        """Make a sample with one fidelity, all of its passages."""
        return cls(evaluator, passages, (fidelity_of(passages),))

    @property
    def full(self) -> Fidelity:
        """The fidelity that is all of the sample."""
        return self.fidelities[-1]

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The keys of all groups, in order of first appearance."""
        return tuple(self.passages.tokens_by_group)

    def measure(self, patterns: Sequence[Pattern], fidelity: Fidelity, groups: Sequence[str]) -> None:
        """Put the losses of some groups at a fidelity into the store, measuring what is not there yet.

        Patterns that lack the same groups are measured together, so that what they share is run once.
        """
        for number in self._numbers(fidelity):
            present = self._increments[number].tokens_by_group
            by_lack: dict[tuple[str, ...], list[Pattern]] = {}
            for pattern in patterns:
                known = self.store.get(pattern, number)
                needed = (group for group in self.groups if group in groups and group in present)
                by_lack.setdefault(tuple(group for group in needed if group not in known), []).append(pattern)
            for lacking, alike in by_lack.items():
                if lacking:
                    tables = self._measured(alike, number, lacking)
                    for pattern, table in zip(alike, tables, strict=True):
                        self.store.put(pattern, number, _sums(table))

    def tables(self, patterns: Sequence[Pattern], passages: TokenPassages) -> list[LossTable]:
        """Measure patterns on some passages of the sample, whatever the store holds: the loss table of each."""
        if self.cross is None:
            return self.evaluator.losses(patterns, passages)
        return self.cross.losses(self.evaluator, patterns, passages)

    def _measured(self, patterns: Sequence[Pattern], number: int, groups: Sequence[str]) -> list[LossTable]:
        """Measure patterns on some groups of an increment."""
        return self.tables(patterns, self._increments[number].only(groups))

    def means(self, pattern: Pattern, fidelity: Fidelity, groups: Sequence[str]) -> Losses | str:
        """Take the mean loss of groups that are all in the store at a fidelity; or say why there is none."""
        losses = {}
        for group in groups:
            total, counted = 0.0, 0
            for number in self._numbers(fidelity):
                if count := self._increments[number].counts_by_group.get(group, 0):
                    summed = self.store.get(pattern, number)[group]
                    if summed is None:
                        return f"loss is not finite in {group}"
                    total, counted = total + summed, counted + count
            losses[group] = total / counted
        return losses

    def losses(self, pattern: Pattern, fidelity: Fidelity) -> Losses | str:
        """Measure a pattern at a fidelity: its mean loss per group, or why there is none."""
        self.measure([pattern], fidelity, self.groups)
        return self.means(pattern, fidelity, self.groups)

    def dense(self, fidelity: Fidelity) -> Losses:
        """Measure the dense model at a fidelity: its mean loss per group.

        Raises:
            EvopError: the loss of a group is not a number.
        """
        losses = self.losses(self.evaluator.space.dense, fidelity)
        if isinstance(losses, str):
            dtype = self.evaluator.loaded.dtype
            raise EvopError(f"the dense model's {losses} at --dtype {dtype}; {wider(dtype)}")
        return losses

    @cached_property
    def _increments(self) -> tuple[TokenPassages, ...]:
        """The passages that each fidelity adds to the one before."""
        return increments(self.passages, self.fidelities)

    def _numbers(self, fidelity: Fidelity) -> range:
        """List the increments that a fidelity is made of."""
        return range(1 + self.fidelities.index(fidelity))


def _sums(table: LossTable) -> Sums:
    """Sum losses up per group, as the store holds them."""
    sums, _ = table.sums()
    return {name: float(s) if np.isfinite(s) else None for name, s in zip(table.names, sums, strict=True)}
