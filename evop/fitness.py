"""How the search judges a pattern: an objective over the groups' excess losses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from evop.efforts import stretches
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.losses import LossTable, excess
from evop.objectives import Objective
from evop.store import LossStore, Sums
from evop.tokens import TokenPassages
from patterns import Effort, Measurement, Pattern

Losses = Mapping[str, float]
"""Group -> mean loss, nats a token."""


@dataclass(frozen=True)
class Sample:
    """Some passages, and the efforts at which patterns are measured on them.

    Attributes:
        evaluator: runs the model.
        passages: what it is run on, in their fixed order.
        efforts: ascending; the last is all of them.
        store: what was measured already.
    """

    evaluator: Evaluator
    passages: TokenPassages
    efforts: tuple[Effort, ...]
    store: LossStore = field(default_factory=lambda: LossStore(None, {}))

    @classmethod
    def whole(cls, evaluator: Evaluator, passages: TokenPassages) -> Sample:
        """A sample with one effort."""
        return cls(evaluator, passages, (Effort(len(passages.ids), passages.total),))

    @property
    def full(self) -> Effort:
        """The effort that is all of it."""
        return self.efforts[-1]

    @cached_property
    def _stretches(self) -> tuple[TokenPassages, ...]:
        """What each effort adds to the one before."""
        return stretches(self.passages, self.efforts)

    def losses(self, pattern: Pattern, effort: Effort) -> Losses | str:
        """Mean loss a group at an effort, or why there is none."""
        totals: dict[str, float] = {}
        tokens: dict[str, int] = {}
        for number, passages in enumerate(self._stretches[: 1 + self.efforts.index(effort)]):
            sums = self.store.get(pattern, number)
            if sums is None:
                (table,) = self.evaluator.losses([pattern], passages)
                sums = _sums(table)
                self.store.put(pattern, number, sums)
            for group, count in passages.tokens_by_group.items():
                if group not in sums:
                    return f"loss is not finite in {group}"
                totals[group] = totals.get(group, 0.0) + sums[group]
                tokens[group] = tokens.get(group, 0) + count
        return {group: total / tokens[group] for group, total in totals.items()}

    def dense(self, effort: Effort) -> Losses:
        """Mean loss a group of the dense model at an effort.

        Raises:
            EvopError: it is not a number somewhere.
        """
        found = self.losses(self.evaluator.space.dense, effort)
        if isinstance(found, str):
            dtype = self.evaluator.loaded.dtype
            raise EvopError(f"the dense model's {found} at --dtype {dtype}; use --dtype float32")
        return found


@dataclass(frozen=True)
class Fitness:
    """Judges patterns on a sample.

    Attributes:
        sample: what they are measured on.
        objective: from excess losses to the value that is minimised.
        dense: effort in passages -> the dense model's mean loss a group.
        scale: group -> the excess that counts as one; None leaves excess in nats a token.
    """

    sample: Sample
    objective: Objective
    dense: Mapping[int, Losses]
    scale: Mapping[str, float] | None = None

    def __call__(self, patterns: Iterable[Pattern], effort: Effort | None = None) -> Iterator[Measurement]:
        """One measurement a pattern, in order; losses that are no numbers mark it failed."""
        effort = effort or self.sample.full
        for pattern in patterns:
            losses = self.sample.losses(pattern, effort)
            if isinstance(losses, str):
                yield Measurement(float("inf"), {}, effort.tokens, losses)
            else:
                yield Measurement(self._value(losses, effort), losses, effort.tokens)

    def excess(self, measurement: Measurement, effort: Effort | None = None) -> dict[str, float]:
        """Excess loss a group of a measurement, nats a token."""
        return excess(measurement.losses, self.dense[(effort or self.sample.full).passages])

    def worst_group(self, measurement: Measurement) -> str:
        """The group that pays most under a measurement in full, in units of the scale where there is one."""
        over, scale = self.excess(measurement), self.scale or {}
        return max(over, key=lambda group: over[group] / scale.get(group, 1.0))

    def _value(self, losses: Losses, effort: Effort) -> float:
        over = excess(losses, self.dense[effort.passages])
        scale = self.scale or {}
        return self.objective(np.array([value / scale.get(group, 1.0) for group, value in over.items()]))


def _sums(table: LossTable) -> Sums:
    sums, _ = table.sums()
    return {name: float(total) for name, total in zip(table.names, sums, strict=True) if np.isfinite(total)}
