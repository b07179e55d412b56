"""Who pays: what the dense model and each pattern lose, group by group, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from calibration.passage import domain_of
from evop.auditing.audit_rows import GroupRow
from evop.auditing.split_losses import SplitLosses
from evop.losses.means import Means
from evop.losses.power import detectable_mean
from evop.losses.significance import SURE, holm


def group_rows(splits: Sequence[SplitLosses], labels: Mapping[str, str]) -> list[GroupRow]:
    """Build one row per split, kind, pattern and group.

    Args:
        splits: the losses that were measured.
        labels: group key -> what a person reads, such as ``law/3 tax, revenue``.
    """
    return [row for split in splits for pattern in split.pruned for row in _rows_under(split, pattern, labels)]


def _rows_under(split: SplitLosses, pattern: str, labels: Mapping[str, str]) -> list[GroupRow]:
    """Build the rows of one pattern on one kind of groups of a split."""
    means = split.means(pattern)
    lows, highs = means.interval()
    columns = _against_others(means, split.judged)
    rows = [
        _row(split, pattern, at, labels[group], {"low": known(lows[at]), "high": known(highs[at]), **columns[at]})
        for at, group in enumerate(split.groups)
    ]
    if split.answers is None:
        return rows
    return split.answers.judge(rows, [split.members(group) for group in split.groups], split.judged.tolist())


def _against_others(means: Means, judged: np.ndarray) -> list[dict[str, float | bool | None]]:
    """Test of each judged group whether it loses more than the others do in the mean, for more than chance.

    That a group loses something is no news where a quarter of a model is gone; that it loses more than others is.

    Returns:
        The columns of each group; None where it is not judged, or nothing is known of its spread.
    """
    from scipy.stats import t

    columns: list[dict[str, float | bool | None]]
    columns = [{"ahead": None, "p_others": None, "above": None, "detectable": None} for _ in means.value]
    lead, error, freedom = means.take(judged).beyond_the_others()
    tested = np.flatnonzero(np.isfinite(error) & (error > 0))
    corrected = holm(t.sf(lead[tested] / error[tested], freedom[tested]).tolist())
    for at, p in zip(tested, corrected, strict=True):
        columns[np.flatnonzero(judged)[at]] = {
            "ahead": float(lead[at]),
            "p_others": p,
            "above": p < SURE,
            "detectable": detectable_mean(error[at], freedom[at], len(tested)),
        }
    return columns


def _row(split: SplitLosses, pattern: str, at: int, label: str, columns: Mapping[str, float | bool | None]) -> GroupRow:
    group = split.groups[at]
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
        **columns,  # type: ignore[arg-type]
    )


def known(end: float) -> float | None:
    """Read the end of an interval; None where nothing is known of the spread."""
    return None if np.isnan(end) else float(end)
