"""What the answers of ``benchmarks/metrics.py`` are judged by. No command of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evop.evaluator import Evaluator
from evop.losses.objectives import OBJECTIVES
from evop.losses.table import excess, pooled
from evop.removal.cut import Cut
from evop.searching.passages import ObjectivePassages
from evop.tokens.passages import TokenPassages


@dataclass(frozen=True)
class Judge:
    """Judges what was pruned.

    Attributes:
        evaluator: the dense model.
        judged: name of a split -> its passages; nothing was searched, chosen or fitted on them.
        known: fingerprint of passages -> the dense model's mean loss per group there.
    """

    evaluator: Evaluator
    judged: Mapping[str, TokenPassages]
    known: dict[str, dict[str, float]] = field(default_factory=dict)

    def losses(self, cuts: Sequence[Cut]) -> list[dict[str, float]]:
        """Measure what each cut loses of every split: in the worst group, and on average."""
        rows: list[dict[str, float]] = [{} for _ in cuts]
        for split, passages in self.judged.items():
            for row, table in zip(rows, self.evaluator.of_cuts(cuts, passages), strict=True):
                lost = np.array(list(excess(table.by_group, self._dense(passages)).values()))
                row |= {f"{split} worst": float(lost.max()), f"{split} mean": float(lost.mean())}
        return rows

    def claimed(self, cut: Cut, passages: ObjectivePassages) -> float:
        """Measure the mean excess of the worse half on search and select together, as a search claims it."""
        both = (passages.search, passages.select)
        counts = [part.counts_by_group for part in both]
        lost = pooled([self.evaluator.of_cuts([cut], part)[0].by_group for part in both], counts)
        dense = pooled([self._dense(part) for part in both], counts)
        return float(OBJECTIVES["cvar"](np.array(list(excess(lost, dense).values()))))

    def _dense(self, passages: TokenPassages) -> dict[str, float]:
        """Measure the dense model, once for the same passages."""
        if passages.fingerprint not in self.known:
            self.known[passages.fingerprint] = self.evaluator.dense(passages).by_group
        return self.known[passages.fingerprint]
