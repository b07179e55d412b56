"""How the search judges a pattern: an objective over the groups' excess losses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.losses import LossTable, excess
from evop.objectives import Objective
from evop.tokens import TokenPassages
from patterns import Measurement, Pattern


@dataclass(frozen=True)
class Fitness:
    """Measures patterns on some passages.

    Attributes:
        evaluator: runs the model.
        passages: what it is run on.
        objective: from excess losses to the value that is minimised.
        dense: the dense model's mean loss a group on the same passages.
    """

    evaluator: Evaluator
    passages: TokenPassages
    objective: Objective
    dense: Mapping[str, float]

    @classmethod
    def on(cls, evaluator: Evaluator, passages: TokenPassages, objective: Objective) -> Fitness:
        """Measure the dense model first.

        Raises:
            EvopError: the dense model's own loss is not a number.
        """
        return cls(evaluator, passages, objective, dense_losses(evaluator, passages))

    def __call__(self, patterns: Iterable[Pattern]) -> Iterator[Measurement]:
        """One measurement a pattern, in order; losses that are no numbers mark it failed."""
        for table in self.evaluator.losses(patterns, self.passages):
            yield self._judge(table)

    def excess(self, measurement: Measurement) -> dict[str, float]:
        """Excess loss a group of a measurement, nats a token."""
        return excess(measurement.losses, self.dense)

    def _judge(self, table: LossTable) -> Measurement:
        if not table.finite:
            bad = next(group for group, loss in zip(table.groups, table.loss, strict=True) if not np.isfinite(loss))
            return Measurement(float("inf"), {}, table.total_tokens, f"loss is not finite in {bad}")
        losses = table.by_group
        value = self.objective(np.array(list(excess(losses, self.dense).values())))
        return Measurement(value, losses, table.total_tokens)


def dense_losses(evaluator: Evaluator, passages: TokenPassages) -> dict[str, float]:
    """Mean loss a group of the dense model, nats a token.

    Raises:
        EvopError: it is not a number somewhere.
    """
    table = evaluator.dense(passages)
    for group, loss in table.by_group.items():
        if not np.isfinite(loss):
            dtype = evaluator.loaded.dtype
            raise EvopError(f"the dense model's loss is not finite in {group} at --dtype {dtype}; use --dtype float32")
    return table.by_group
