"""Which questions are answered rightly, by the dense model and by every pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evop.auditing.audit_rows import GroupRow
from evop.losses import ITEM_METERS, build_meter
from evop.losses.lines import choice_costs, items_of
from evop.losses.power import detectable_items
from evop.losses.significance import mcnemar, wilson, worse
from evop.tokens.passages import TokenPassages


@dataclass(frozen=True)
class Answers:
    """Right and wrong answers to the questions of a split.

    Attributes:
        metric: the name of the metric that losses are counted by.
        dense: metric -> whether the dense model is right, bool [questions].
        pruned: pattern -> metric -> whether the pruned model is right, bool [questions].
    """

    metric: str
    dense: Mapping[str, np.ndarray]
    pruned: Mapping[str, Mapping[str, np.ndarray]]

    @classmethod
    def of(cls, metric: str, lines: np.ndarray, names: Sequence[str], passages: TokenPassages) -> Answers:
        """Compare what every choice costs.

        Args:
            metric: the metric that losses are counted by.
            lines: loss of every line, float64 [1 + patterns, lines], nats, the dense model's first.
            names: the names of the patterns.
            passages: the questions; no text among them.
        """
        costs, (_, items) = choice_costs(lines, passages), items_of(passages)
        right = {name: build_meter(address).right(costs, items) for name, address in ITEM_METERS.items()}
        dense, *pruned = ({name: answered[at] for name, answered in right.items()} for at in range(len(lines)))
        return cls(metric, dense, dict(zip(names, pruned, strict=True)))

    @property
    def wrong(self) -> np.ndarray:
        """1 per question answered wrongly, the dense model's first: float64 [1 + patterns, questions]."""
        return 1.0 - np.array([self.dense[self.metric], *(right[self.metric] for right in self.pruned.values())])

    def judge(
        self, rows: Sequence[GroupRow], members: Sequence[Sequence[int]], judged: Sequence[bool]
    ) -> list[GroupRow]:
        """Fill rows with what changed in their groups: accuracies, lost and won questions, and whether by chance.

        Args:
            rows: one row per group, of one pattern.
            members: the questions of each group.
            judged: which groups have enough questions to be called worse; the others are not tested.
        """
        filled = [self._filled(row, list(questions)) for row, questions in zip(rows, members, strict=True)]
        changes = [(row.lost or 0, row.won or 0) for row, enough in zip(filled, judged, strict=True) if enough]
        verdicts, churn = iter(worse(changes)), self._churn(filled)
        judgements: list[dict[str, Any]] = []
        for row, enough in zip(filled, judged, strict=True):
            p_holm, is_worse = next(verdicts) if enough else (None, False)
            found = detectable_items(row.passages, len(changes), churn) if enough else None
            judgements.append({"p_holm": p_holm, "worse": is_worse, "detectable": found})
        return [row.model_copy(update=columns) for row, columns in zip(filled, judgements, strict=True)]

    def worse(self, pattern: str, members: Sequence[Sequence[int]]) -> int:
        """Count the groups, given by their questions, that are worse under a pattern for more than chance."""
        before, after = self.dense[self.metric], self.pruned[pattern][self.metric]
        lost, won = before & ~after, ~before & after
        changes = [(int(lost[list(some)].sum()), int(won[list(some)].sum())) for some in members]
        return sum(is_worse for _, is_worse in worse(changes))

    def _churn(self, rows: Sequence[GroupRow]) -> float:
        """Estimate the share of questions that change by chance: twice those won, in all groups together.

        In hundredths, and one at least, since what was won may be nothing by luck.
        """
        share = 2 * sum(row.won or 0 for row in rows) / sum(row.passages for row in rows)
        return max(0.01, round(share, 2))

    def _filled(self, row: GroupRow, questions: list[int]) -> GroupRow:
        """Fill a row with all that its group alone says."""
        before, after = self.dense[self.metric][questions], self.pruned[row.pattern][self.metric][questions]
        lost, won = int((before & ~after).sum()), int((~before & after).sum())
        columns: dict[str, Any] = {"lost": lost, "won": won, "p": mcnemar(lost, won)}
        for name, right in (("dense_accuracy", before), ("accuracy", after)):
            low, high = wilson(int(right.sum()), len(right))
            columns |= {name: float(right.mean()), f"{name}_low": low, f"{name}_high": high}
        for metric, short in COLUMNS.items():
            columns[f"dense_{short}"] = float(self.dense[metric][questions].mean())
            columns[short] = float(self.pruned[row.pattern][metric][questions].mean())
        return row.model_copy(update=columns)


COLUMNS = {"accuracy": "acc", "accuracy_norm": "acc_norm"}
"""Metric -> the column that has it, whichever of them losses are counted by; named as lm-evaluation-harness does."""
