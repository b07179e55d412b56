"""Which items are answered rightly, by the dense model and by every pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evop.losses import ITEM_METERS, build_meter
from evop.losses.lines import choice_costs, items_of
from evop.losses.significance import mcnemar, wilson, worse
from evop.tokens.passages import TokenPassages


@dataclass(frozen=True)
class Answers:
    """Right and wrong answers to the items of a split.

    Attributes:
        metric: the name of the one that losses are counted by.
        dense: metric -> whether the dense model is right, bool [items].
        pruned: pattern -> metric -> whether it is.
    """

    metric: str
    dense: Mapping[str, np.ndarray]
    pruned: Mapping[str, Mapping[str, np.ndarray]]

    @classmethod
    def of(cls, metric: str, lines: np.ndarray, names: Sequence[str], passages: TokenPassages) -> Answers:
        """From what every choice costs.

        Args:
            metric: the one that losses are counted by.
            lines: float64 [1 + patterns, lines], nats, the dense model's first.
            names: of the patterns.
            passages: items, all of them.
        """
        costs, (_, items) = choice_costs(lines, passages), items_of(passages)
        right = {name: build_meter(address).right(costs, items) for name, address in ITEM_METERS.items()}
        dense, *pruned = ({name: found[at] for name, found in right.items()} for at in range(len(lines)))
        return cls(metric, dense, dict(zip(names, pruned, strict=True)))

    @property
    def wrong(self) -> np.ndarray:
        """1 for every item answered wrongly, the dense model's first: float64 [1 + patterns, items]."""
        return 1.0 - np.array([self.dense[self.metric], *(right[self.metric] for right in self.pruned.values())])

    def rows(self, pattern: str, members: Sequence[Sequence[int]], judged: Sequence[bool]) -> list[dict[str, Any]]:
        """What changed in each group under a pattern, one row a group.

        Args:
            pattern: its name.
            members: the items of each group.
            judged: which groups have enough items to be called worse; the others are not tested.

        Returns:
            ``dense_accuracy``, ``accuracy`` and their 95% Wilson intervals; both by the other metric too; ``lost`` and
            ``won`` items; ``p``, the exact McNemar test's, ``p_holm``, corrected for the number of groups; ``worse``.
        """
        found = [self._row(pattern, list(mine)) for mine in members]
        tested = [row for row, enough in zip(found, judged, strict=True) if enough]
        for row in found:
            row |= {"p_holm": None, "worse": False}
        judgements = worse([(row["lost"], row["won"]) for row in tested])
        for row, (p_holm, is_worse) in zip(tested, judgements, strict=True):
            row |= {"p_holm": p_holm, "worse": is_worse}
        return found

    def _row(self, pattern: str, mine: list[int]) -> dict[str, Any]:
        before, after = self.dense[self.metric][mine], self.pruned[pattern][self.metric][mine]
        lost, won = int((before & ~after).sum()), int((~before & after).sum())
        row: dict[str, Any] = {}
        for name, right in (("dense_accuracy", before), ("accuracy", after)):
            low, high = wilson(int(right.sum()), len(right))
            row |= {name: float(right.mean()), f"{name}_low": low, f"{name}_high": high}
        for metric in ITEM_METERS:
            both = (self.dense[metric][mine], self.pruned[pattern][metric][mine])
            row[f"dense_{_SHORT[metric]}"], row[_SHORT[metric]] = (float(right.mean()) for right in both)
        return row | {"lost": lost, "won": won, "p": mcnemar(lost, won)}


_SHORT = {"accuracy": "acc", "accuracy_norm": "acc_norm"}
