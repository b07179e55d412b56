"""Who pays: losses of the dense model and of each pattern, group by group, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from evop.losses import LossTable
from evop.tokens import TokenPassages

RESAMPLES = 2000
LEVEL = 0.95
LARGE_SHARE = 0.9
"""The percentile shown beside the worst group."""


@dataclass(frozen=True)
class SplitLosses:
    """One split measured under the dense model and every pattern, passage by passage.

    Attributes:
        split: ``"audit"`` or ``"unseen"``.
        passages: what was measured.
        dense: losses of the dense model.
        pruned: losses of each pattern, by its name.
    """

    split: str
    passages: TokenPassages
    dense: LossTable
    pruned: Mapping[str, LossTable]

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Group keys, sorted."""
        return tuple(sorted(self.dense.names))

    def excess(self, pattern: str) -> np.ndarray:
        """Excess loss of each group, nats a token; float64 [groups]."""
        pruned, dense = self.pruned[pattern].by_group, self.dense.by_group
        return np.array([pruned[group] - dense[group] for group in self.groups])

    def resampled(self, pattern: str) -> np.ndarray:
        """Bootstrap of the excess: float64 [resamples, groups]; NaN for a group of a single document.

        Documents are drawn again with replacement inside each group, and dense and pruned are measured on the
        same draw (paired). The draws depend on split and group alone, so patterns are paired as well.

        Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), percentile interval of a ratio.
        """
        return np.stack([self._resampled_group(pattern, at) for at in range(len(self.groups))], axis=1)

    def at_equal_tokens(self, pattern: str) -> tuple[dict[str, float], int]:
        """Excess a group when every group is judged on as many tokens as the smallest has.

        A maximum over noisy means favours small groups; equal tokens make the groups comparable.

        Returns:
            Excess of each group, and the tokens a group (reached by whole passages).
        """
        tokens = min(self.passages.tokens_by_group.values())
        kept: list[int] = []
        taken = dict.fromkeys(self.groups, 0)
        for i, (group, scored) in enumerate(zip(self.passages.groups, self.passages.scored, strict=True)):
            if taken[group] < tokens:
                kept.append(i)
                taken[group] += int(scored)
        part = SplitLosses(
            self.split, self.passages.take(kept), self.dense.take(kept), {pattern: self.pruned[pattern].take(kept)}
        )
        return dict(zip(part.groups, map(float, part.excess(pattern)), strict=True)), tokens

    def _resampled_group(self, pattern: str, at: int) -> np.ndarray:
        members = [i for i, group in enumerate(self.passages.groups) if group == self.groups[at]]
        documents = sorted({self.passages.documents[i] for i in members})
        if len(documents) < 2:
            return np.full(RESAMPLES, np.nan)
        index = {document: k for k, document in enumerate(documents)}
        owner = [index[self.passages.documents[i]] for i in members]
        extra = np.bincount(owner, weights=(self.pruned[pattern].loss - self.dense.loss)[members])
        tokens = np.bincount(owner, weights=self.dense.counts[members])
        rng = np.random.default_rng([at, len(documents), *self.split.encode()])
        draws = rng.multinomial(len(documents), np.full(len(documents), 1 / len(documents)), size=RESAMPLES)
        return (draws @ extra) / (draws @ tokens)


def group_frame(splits: Sequence[SplitLosses], labels: Mapping[str, str]) -> pd.DataFrame:
    """One row a pattern, split and group.

    Args:
        splits: what was measured.
        labels: group key -> what a person reads, such as ``law/3 tax, revenue``.

    Returns:
        Columns: pattern, split, group, label, domain, passages, documents, tokens, dense_loss, dense_perplexity,
        loss, perplexity, excess, low, high (nats a token; the interval is a paired bootstrap over documents).
    """
    rows = []
    for split in splits:
        for pattern, table in split.pruned.items():
            interval = _interval(split.resampled(pattern))
            for at, group in enumerate(split.groups):
                dense, loss = split.dense.by_group[group], table.by_group[group]
                members = [i for i, name in enumerate(split.passages.groups) if name == group]
                rows.append(
                    {
                        "pattern": pattern,
                        "split": split.split,
                        "group": group,
                        "label": labels[group],
                        "domain": group.rsplit("/", 1)[0],
                        "passages": len(members),
                        "documents": len({split.passages.documents[i] for i in members}),
                        "tokens": split.passages.tokens_by_group[group],
                        "dense_loss": dense,
                        "dense_perplexity": float(np.exp(dense)),
                        "loss": loss,
                        "perplexity": float(np.exp(loss)),
                        "excess": loss - dense,
                        "low": interval[0, at],
                        "high": interval[1, at],
                    }
                )
    return pd.DataFrame(rows)


def summary_frame(splits: Sequence[SplitLosses]) -> pd.DataFrame:
    """One row a pattern and split: worst group, 90th percentile and mean over groups, and ties.

    Returns:
        Columns: pattern, split, groups, tokens, worst, worst_low, worst_high, worst_group, p90, mean,
        equal_worst, equal_worst_group, equal_tokens, against, gap, gap_low, gap_high, tie. The last five compare
        the pattern's worst group with that of the split's best pattern (``against``); a gap whose bootstrap
        interval holds 0 is a tie; where a worst group is a single document, that stays open (None).
    """
    rows = []
    for split in splits:
        worst = {name: split.excess(name).max() for name in split.pruned}
        best = min(worst, key=lambda name: worst[name])
        best_draws = _worst_draws(split, best)
        for pattern in split.pruned:
            excess, draws = split.excess(pattern), _worst_draws(split, pattern)
            low, high = _interval(draws)
            gap_low, gap_high = _interval(draws - best_draws)
            equal, equal_tokens = split.at_equal_tokens(pattern)
            equal_group = max(equal, key=lambda group: equal[group])
            rows.append(
                {
                    "pattern": pattern,
                    "split": split.split,
                    "groups": len(split.groups),
                    "tokens": split.passages.total,
                    "worst": excess.max(),
                    "worst_low": low,
                    "worst_high": high,
                    "worst_group": split.groups[int(excess.argmax())],
                    "p90": float(np.quantile(excess, LARGE_SHARE)),
                    "mean": float(excess.mean()),
                    "equal_worst": equal[equal_group],
                    "equal_worst_group": equal_group,
                    "equal_tokens": equal_tokens,
                    "against": best,
                    "gap": worst[pattern] - worst[best],
                    "gap_low": gap_low,
                    "gap_high": gap_high,
                    "tie": None if np.isnan(gap_low) else pattern != best and bool(gap_low <= 0 <= gap_high),
                }
            )
    return pd.DataFrame(rows)


def _worst_draws(split: SplitLosses, pattern: str) -> np.ndarray:
    """Bootstrap of the worst group's excess, float64 [resamples].

    NaN where the worst group is a single document: nothing is known of its spread. Other such groups stay as
    measured.
    """
    draws, excess = split.resampled(pattern), split.excess(pattern)
    if np.isnan(draws[:, excess.argmax()]).any():
        return np.full(len(draws), np.nan)
    return np.where(np.isnan(draws), excess, draws).max(axis=1)


def _interval(draws: np.ndarray) -> np.ndarray:
    """Percentile interval over the first axis; [2, …]."""
    tail = (1 - LEVEL) / 2
    return np.quantile(draws, [tail, 1 - tail], axis=0)
