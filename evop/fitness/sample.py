"""The passages a search measures on, and what was measured on them already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.fitness.fidelities import fidelity_of, increments
from evop.fitness.store import LossStore, Sums
from evop.losses.table import LossTable
from evop.tokens.passages import TokenPassages
from patterns import Fidelity, Pattern

Losses = Mapping[str, float]
"""Group -> mean loss, nats a token."""


@dataclass(frozen=True)
class Sample:
    """Some passages, and the fidelities at which patterns are measured on them.

    Attributes:
        evaluator: runs the model.
        passages: what it is run on, in their fixed order.
        fidelities: ascending; the last is all of them.
        store: what was measured already.
    """

    evaluator: Evaluator
    passages: TokenPassages
    fidelities: tuple[Fidelity, ...]
    store: LossStore = field(default_factory=lambda: LossStore(None, {}))

    @classmethod
    def whole(cls, evaluator: Evaluator, passages: TokenPassages) -> Sample:
        """A sample with one fidelity."""
        return cls(evaluator, passages, (fidelity_of(passages),))

    @property
    def full(self) -> Fidelity:
        """The fidelity that is all of it."""
        return self.fidelities[-1]

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """All groups, in order of first appearance."""
        return tuple(self.passages.tokens_by_group)

    def measure(self, patterns: Sequence[Pattern], fidelity: Fidelity, groups: Sequence[str]) -> None:
        """Measure some groups at a fidelity: what of it is not in the store. What they share is run once."""
        for number in self._numbers(fidelity):
            there = self._increments[number].tokens_by_group
            alike: dict[tuple[str, ...], list[Pattern]] = {}
            for pattern in patterns:
                known = self.store.get(pattern, number)
                needed = (group for group in self.groups if group in groups and group in there)
                alike.setdefault(tuple(group for group in needed if group not in known), []).append(pattern)
            for wanted, these in alike.items():
                if wanted:
                    tables = self.evaluator.losses(these, self._increments[number].only(wanted))
                    for pattern, table in zip(these, tables, strict=True):
                        self.store.put(pattern, number, _sums(table))

    def found(self, pattern: Pattern, fidelity: Fidelity, groups: Sequence[str]) -> Losses | str:
        """Mean loss of some groups at a fidelity, all measured; or why there is none."""
        losses = {}
        for group in groups:
            total, measured = 0.0, 0
            for number in self._numbers(fidelity):
                if count := self._increments[number].counts_by_group.get(group, 0):
                    summed = self.store.get(pattern, number)[group]
                    if summed is None:
                        return f"loss is not finite in {group}"
                    total, measured = total + summed, measured + count
            losses[group] = total / measured
        return losses

    def losses(self, pattern: Pattern, fidelity: Fidelity) -> Losses | str:
        """Mean loss a group at a fidelity, or why there is none."""
        self.measure([pattern], fidelity, self.groups)
        return self.found(pattern, fidelity, self.groups)

    def dense(self, fidelity: Fidelity) -> Losses:
        """Mean loss a group of the dense model at a fidelity.

        Raises:
            EvopError: it is not a number somewhere.
        """
        found = self.losses(self.evaluator.space.dense, fidelity)
        if isinstance(found, str):
            dtype = self.evaluator.loaded.dtype
            raise EvopError(f"the dense model's {found} at --dtype {dtype}; use --dtype float32")
        return found

    @cached_property
    def _increments(self) -> tuple[TokenPassages, ...]:
        """What each fidelity adds to the one before."""
        return increments(self.passages, self.fidelities)

    def _numbers(self, fidelity: Fidelity) -> range:
        return range(1 + self.fidelities.index(fidelity))


def _sums(table: LossTable) -> Sums:
    sums, _ = table.sums()
    return {name: float(s) if np.isfinite(s) else None for name, s in zip(table.names, sums, strict=True)}
