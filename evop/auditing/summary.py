"""All patterns side by side: each one's worst group, its mean, its distance to the best; and random patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evop.auditing.audit_rows import GroupRow, RandomRow, Range, SummaryRow
from evop.auditing.split_losses import SplitLosses
from evop.auditing.table import known
from evop.losses.worst import Worst, gap_interval, worst_of

DRAWS = 2000
"""Simulated audits behind the interval of a worst group and of a gap."""
RANDOM_DRAWS = 400
"""The same for random patterns, of which the estimate alone is shown."""
LARGE_SHARE = 0.9
"""The percentile shown beside the worst group."""


def summary_rows(splits: Sequence[SplitLosses], groups: Sequence[GroupRow]) -> list[SummaryRow]:
    """Build one row per split, kind of groups and pattern: the worst group, the 90th percentile, the mean, and ties.

    Args:
        splits: the losses that were measured.
        groups: the rows of their groups.
    """
    rows = []
    for split in splits:
        worsts = worst_groups(split, DRAWS)
        best = min(worsts, key=lambda name: worsts[name].measured)
        for pattern in split.pruned:
            alike = [row for row in groups if (row.split, row.kind, row.pattern) == (split.split, split.kind, pattern)]
            rows.append(_summary(split, pattern, alike, best, worsts))
    return rows


def worst_groups(split: SplitLosses, draws: int) -> dict[str, Worst]:
    """Estimate the worst judged group of every pattern: pattern -> what is known of it."""
    judged = split.judged
    means = [split.means(pattern).take(judged) for pattern in split.pruned]
    noise = split.noise(draws)[..., judged]
    seed = list(split.split.encode())
    return dict(zip(split.pruned, worst_of(means, noise, seed), strict=True))


def _summary(
    split: SplitLosses, pattern: str, alike: Sequence[GroupRow], best: str, worsts: Mapping[str, Worst]
) -> SummaryRow:
    excess, worst = split.excess(pattern)[split.judged], worsts[pattern]
    names = [group for group, judged in zip(split.groups, split.judged, strict=True) if judged]
    gap_low, gap_high = gap_interval(worst, worsts[best])
    equal, equal_count = split.at_equal_counts(pattern)
    equal_group = max(equal, key=lambda group: equal[group])
    tested = [
        row
        for row, judged in zip(alike, split.judged, strict=True)
        if judged and (split.kind == "item" or row.detectable is not None)
    ]
    found = sorted(np.inf if row.detectable is None else row.detectable for row in tested)
    half = found[len(found) // 2] if found else np.inf
    at = int(excess.argmax())
    return SummaryRow(
        pattern=pattern,
        split=split.split,
        kind=split.kind,
        groups=len(split.groups),
        worse=None if split.kind == "text" else sum(bool(row.worse) for row in alike),
        above=sum(bool(row.above) for row in alike),
        detectable=float(half) if np.isfinite(half) else None,
        tokens=split.passages.total,
        worst=worst.value,
        worst_low=known(worst.low),
        worst_high=known(worst.high),
        worst_measured=worst.measured,
        worst_group=names[at],
        worst_sure=float(worst.shares[at]),
        worst_among=[names[i] for i in worst.among],
        p90=float(np.quantile(excess, LARGE_SHARE)),
        mean=float(excess.mean()),
        equal_worst=equal[equal_group],
        equal_worst_group=equal_group,
        equal_count=equal_count,
        against=best,
        gap=worst.measured - worsts[best].measured,
        gap_low=known(gap_low),
        gap_high=known(gap_high),
        tie=None if np.isnan(gap_low) else pattern != best and bool(gap_low <= 0 <= gap_high),
    )


def random_rows(randoms: Mapping[str, Sequence[SplitLosses]]) -> list[RandomRow]:
    """Build one row per size of random patterns, split and kind of groups: medians and ranges over the patterns.

    Args:
        randoms: name of the random patterns -> the losses of each split under them.
    """
    return [_random(name, split) for name, splits in randoms.items() for split in splits]


def _random(name: str, split: SplitLosses) -> RandomRow:
    excess = np.array([split.excess(pattern) for pattern in split.pruned])
    worse = None
    if split.answers is not None:
        members = [split.members(group) for group, judged in zip(split.groups, split.judged, strict=True) if judged]
        worse = _range([split.answers.worse(pattern, members) for pattern in split.pruned])
    return RandomRow(
        name=name,
        split=split.split,
        kind=split.kind,
        patterns=len(excess),
        worst=_range([worst.value for worst in worst_groups(split, RANDOM_DRAWS).values()]),
        mean=_range(excess[:, split.judged].mean(axis=1)),
        worse=worse,
        groups={group: _range(lost) for group, lost in zip(split.groups, excess.T, strict=True)},
    )


def _range(values: Sequence[float] | np.ndarray) -> Range:
    return Range(median=float(np.median(values)), least=float(np.min(values)), most=float(np.max(values)))
