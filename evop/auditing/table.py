"""Who pays: what the dense model and each pattern lose, group by group, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from calibration.passage import domain_of
from evop.auditing.audit_file import GroupRow, SummaryRow
from evop.auditing.bootstrap import interval
from evop.auditing.split_losses import SplitLosses

LARGE_SHARE = 0.9
"""The percentile shown beside the worst group."""


def group_rows(splits: Sequence[SplitLosses], labels: Mapping[str, str]) -> list[GroupRow]:
    """Build one row per split, kind, pattern and group.

    Args:
        splits: the losses that were measured.
        labels: group key -> what a person reads, such as ``law/3 tax, revenue``.
    """
    return [row for split in splits for pattern in split.pruned for row in _rows_under(split, pattern, labels)]


def _rows_under(split: SplitLosses, pattern: str, labels: Mapping[str, str]) -> list[GroupRow]:
    """Build the rows of one pattern on one kind of groups of a split."""
    lows, highs = interval(split.resampled(pattern))
    ends = zip(lows, highs, strict=True)
    rows = [_row(split, pattern, group, labels[group], *end) for group, end in zip(split.groups, ends, strict=True)]
    if split.answers is None:
        return rows
    return split.answers.judge(rows, [split.members(group) for group in split.groups], split.judged.tolist())


def _row(split: SplitLosses, pattern: str, group: str, label: str, low: float, high: float) -> GroupRow:
    members = split.members(group)
    dense, loss = split.dense.by_group[group], split.pruned[pattern].by_group[group]
    return GroupRow(
        pattern=pattern,
        split=split.split,
        kind=split.kind,
        group=group,
        label=label,
        domain=domain_of(group),
        passages=len(members),
        documents=len({split.passages.documents[i] for i in members}),
        tokens=split.passages.tokens_by_group[group],
        dense_loss=dense,
        dense_perplexity=float(np.exp(dense)) if split.kind == "text" else None,
        loss=loss,
        perplexity=float(np.exp(loss)) if split.kind == "text" else None,
        excess=loss - dense,
        low=_known(low),
        high=_known(high),
    )


def summary_rows(splits: Sequence[SplitLosses], groups: Sequence[GroupRow]) -> list[SummaryRow]:
    """Build one row per split, kind of groups and pattern: the worst group, the 90th percentile, the mean, and ties.

    Args:
        splits: the losses that were measured.
        groups: the rows of their groups.
    """
    rows = []
    for split in splits:
        worst = {name: split.excess(name)[split.judged].max() for name in split.pruned}
        best = min(worst, key=lambda name: worst[name])
        draws = _worst_draws(split, best)
        for pattern in split.pruned:
            alike = [row for row in groups if (row.split, row.kind, row.pattern) == (split.split, split.kind, pattern)]
            worse = None if split.kind == "text" else sum(bool(row.worse) for row in alike)
            rows.append(_summary(split, pattern, worse, best, draws))
    return rows


def _summary(split: SplitLosses, pattern: str, worse: int | None, best: str, best_draws: np.ndarray) -> SummaryRow:
    excess, draws = split.excess(pattern)[split.judged], _worst_draws(split, pattern)
    names = [group for group, judged in zip(split.groups, split.judged, strict=True) if judged]
    low, high = interval(draws)
    gap_low, gap_high = interval(draws - best_draws)
    equal, equal_count = split.at_equal_counts(pattern)
    equal_group = max(equal, key=lambda group: equal[group])
    return SummaryRow(
        pattern=pattern,
        split=split.split,
        kind=split.kind,
        groups=len(split.groups),
        worse=worse,
        tokens=split.passages.total,
        worst=float(excess.max()),
        worst_low=_known(low),
        worst_high=_known(high),
        worst_group=names[int(excess.argmax())],
        p90=float(np.quantile(excess, LARGE_SHARE)),
        mean=float(excess.mean()),
        equal_worst=equal[equal_group],
        equal_worst_group=equal_group,
        equal_count=equal_count,
        against=best,
        gap=float(excess.max() - split.excess(best)[split.judged].max()),
        gap_low=_known(gap_low),
        gap_high=_known(gap_high),
        tie=None if np.isnan(gap_low) else pattern != best and bool(gap_low <= 0 <= gap_high),
    )


def _worst_draws(split: SplitLosses, pattern: str) -> np.ndarray:
    """Bootstrap the worst group's excess, float64 [resamples].

    NaN where the worst group is a single document: nothing is known of its spread. Other such groups stay as
    measured.
    """
    draws, excess = split.resampled(pattern)[:, split.judged], split.excess(pattern)[split.judged]
    if np.isnan(draws[:, excess.argmax()]).any():
        return np.full(len(draws), np.nan)
    return np.where(np.isnan(draws), excess, draws).max(axis=1)


def _known(end: float) -> float | None:
    """Read the end of an interval; None where a bootstrap of a single document gave NaN."""
    return None if np.isnan(end) else float(end)
