"""Who pays: what the dense model and each pattern lose, group by group, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from calibration.passage import domain_of
from evop.auditing.answers import Answers
from evop.losses.lines import items_of
from evop.losses.table import LossTable
from evop.tokens.passages import TokenPassages

RESAMPLES = 2000
LEVEL = 0.95
FEWEST_ITEMS = 8
"""A group with fewer is listed, and is neither the worst nor called worse: it says next to nothing."""
LARGE_SHARE = 0.9
"""The percentile shown beside the worst group."""


@dataclass(frozen=True)
class SplitLosses:
    """The text, or the items, of one split under the dense model and every pattern, passage by passage.

    Attributes:
        split: ``"audit"`` or ``"unseen"``.
        passages: what was measured, all of one kind.
        dense: losses of the dense model: nats of text, 1 for every item answered wrongly.
        pruned: losses of each pattern, by its name.
        answers: to the items; None for text.
    """

    split: str
    passages: TokenPassages
    dense: LossTable
    pruned: Mapping[str, LossTable]
    answers: Answers | None = None

    @property
    def kind(self) -> str:
        """``text`` or ``item``."""
        return "text" if self.answers is None else "item"

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Group keys, sorted."""
        return tuple(sorted(self.dense.names))

    @cached_property
    def judged(self) -> np.ndarray:
        """Which groups have enough to be judged by, bool [groups]; all of text, and where none has, all."""
        counts = np.array([self.passages.counts_by_group[group] for group in self.groups])
        enough = counts >= FEWEST_ITEMS
        return enough if self.kind == "item" and enough.any() else np.ones(len(counts), dtype=bool)

    def excess(self, pattern: str) -> np.ndarray:
        """Excess loss of each group, nats a token or share of items; float64 [groups]."""
        pruned, dense = self.pruned[pattern].by_group, self.dense.by_group
        return np.array([pruned[group] - dense[group] for group in self.groups])

    def resampled(self, pattern: str) -> np.ndarray:
        """Bootstrap of the excess: float64 [resamples, groups]; NaN for a group of a single document.

        Documents are drawn again with replacement inside each group, and dense and pruned are measured on the
        same draw (paired). The draws depend on split and group alone, so patterns are paired as well.

        Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), percentile interval of a ratio.
        """
        return np.stack([self._resampled_group(pattern, at) for at in range(len(self.groups))], axis=1)

    def at_equal_counts(self, pattern: str) -> tuple[dict[str, float], int]:
        """Excess a group when every group that is judged is so on as many tokens, or items, as the smallest has.

        A maximum over noisy means favours small groups; equal counts make the groups comparable.

        Returns:
            Excess of each group, and the tokens a group (reached by whole passages), or the items.
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
        """Its passages."""
        return [i for i, name in enumerate(self.passages.groups) if name == group]

    def changes(self, pattern: str) -> list[dict[str, Any]] | None:
        """What ``Answers.rows`` says of every group; None for text."""
        if self.answers is None:
            return None
        return self.answers.rows(pattern, [self.members(group) for group in self.groups], self.judged.tolist())

    def _resampled_group(self, pattern: str, at: int) -> np.ndarray:
        members = self.members(self.groups[at])
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


def split_losses(
    split: str, passages: TokenPassages, lines: np.ndarray, names: Sequence[str], metric: str
) -> list[SplitLosses]:
    """The text of a split, and its items, from what every line costs; a kind it lacks is left out.

    Args:
        split: its name.
        passages: of both kinds.
        lines: float64 [1 + patterns, lines], nats, the dense model's first.
        names: of the patterns.
        metric: how choices are compared.
    """
    items, _ = items_of(passages)
    text = sorted(set(range(len(passages.ids))) - set(items))
    found = []
    for mine, is_item in ((text, False), (items, True)):
        if not mine:
            continue
        part = passages.take(mine)
        at = np.concatenate([np.arange(passages.lines[i], passages.lines[i + 1]) for i in mine])
        answers = Answers.of(metric, lines[:, at], names, part) if is_item else None
        losses = lines[:, at] if answers is None else answers.wrong
        tables = [LossTable(part.groups, row, part.counts) for row in losses]
        found.append(SplitLosses(split, part, tables[0], dict(zip(names, tables[1:], strict=True)), answers))
    return found


def group_frame(splits: Sequence[SplitLosses], labels: Mapping[str, str]) -> pd.DataFrame:
    """One row a pattern, split and group.

    Args:
        splits: what was measured.
        labels: group key -> what a person reads, such as ``law/3 tax, revenue``.

    Returns:
        Columns: pattern, split, kind, group, label, domain, passages, documents, tokens, dense_loss, dense_perplexity,
        loss, perplexity, excess, low, high (nats a token of text, share of items; the interval is a paired bootstrap
        over documents); and for items what ``Answers.rows`` says.
    """
    return pd.DataFrame(
        [row for split in splits for pattern in split.pruned for row in _group_rows(split, pattern, labels)]
    )


def _group_rows(split: SplitLosses, pattern: str, labels: Mapping[str, str]) -> list[dict[str, object]]:
    interval = _interval(split.resampled(pattern))
    more = split.changes(pattern)
    rows = []
    for at, group in enumerate(split.groups):
        mine = split.members(group)
        dense, loss = split.dense.by_group[group], split.pruned[pattern].by_group[group]
        text = split.kind == "text"
        rows.append(
            {
                "pattern": pattern,
                "split": split.split,
                "kind": split.kind,
                "group": group,
                "label": labels[group],
                "domain": domain_of(group),
                "passages": len(mine),
                "documents": len({split.passages.documents[i] for i in mine}),
                "tokens": split.passages.tokens_by_group[group],
                "dense_loss": dense,
                "dense_perplexity": float(np.exp(dense)) if text else None,
                "loss": loss,
                "perplexity": float(np.exp(loss)) if text else None,
                "excess": loss - dense,
                "low": interval[0, at],
                "high": interval[1, at],
                **(more[at] if more else {}),
            }
        )
    return rows


def summary_frame(splits: Sequence[SplitLosses]) -> pd.DataFrame:
    """One row a pattern, split and kind of groups: worst group, 90th percentile and mean over groups, and ties.

    Returns:
        Columns: pattern, split, kind, groups, worse, tokens, worst, worst_low, worst_high, worst_group, p90, mean,
        equal_worst, equal_worst_group, equal_count, against, gap, gap_low, gap_high, tie. The last five compare
        the pattern's worst group with that of the split's best pattern (``against``); a gap whose bootstrap
        interval holds 0 is a tie; where a worst group is a single document, that stays open (None).
    """
    rows = []
    for split in splits:
        worst = {name: split.excess(name)[split.judged].max() for name in split.pruned}
        best = min(worst, key=lambda name: worst[name])
        best_draws = _worst_draws(split, best)
        for pattern in split.pruned:
            excess, draws = split.excess(pattern)[split.judged], _worst_draws(split, pattern)
            names = [group for group, judged in zip(split.groups, split.judged, strict=True) if judged]
            low, high = _interval(draws)
            gap_low, gap_high = _interval(draws - best_draws)
            equal, equal_count = split.at_equal_counts(pattern)
            equal_group = max(equal, key=lambda group: equal[group])
            rows.append(
                {
                    "pattern": pattern,
                    "split": split.split,
                    "kind": split.kind,
                    "groups": len(split.groups),
                    "worse": _worse(split, pattern),
                    "tokens": split.passages.total,
                    "worst": excess.max(),
                    "worst_low": low,
                    "worst_high": high,
                    "worst_group": names[int(excess.argmax())],
                    "p90": float(np.quantile(excess, LARGE_SHARE)),
                    "mean": float(excess.mean()),
                    "equal_worst": equal[equal_group],
                    "equal_worst_group": equal_group,
                    "equal_count": equal_count,
                    "against": best,
                    "gap": worst[pattern] - worst[best],
                    "gap_low": gap_low,
                    "gap_high": gap_high,
                    "tie": None if np.isnan(gap_low) else pattern != best and bool(gap_low <= 0 <= gap_high),
                }
            )
    return pd.DataFrame(rows)


def _worse(split: SplitLosses, pattern: str) -> int | None:
    found = split.changes(pattern)
    return None if found is None else sum(bool(row["worse"]) for row in found)


def _worst_draws(split: SplitLosses, pattern: str) -> np.ndarray:
    """Bootstrap of the worst group's excess, float64 [resamples].

    NaN where the worst group is a single document: nothing is known of its spread. Other such groups stay as
    measured.
    """
    draws, excess = split.resampled(pattern)[:, split.judged], split.excess(pattern)[split.judged]
    if np.isnan(draws[:, excess.argmax()]).any():
        return np.full(len(draws), np.nan)
    return np.where(np.isnan(draws), excess, draws).max(axis=1)


def _interval(draws: np.ndarray) -> np.ndarray:
    """Percentile interval over the first axis; [2, …]."""
    tail = (1 - LEVEL) / 2
    return np.quantile(draws, [tail, 1 - tail], axis=0)
