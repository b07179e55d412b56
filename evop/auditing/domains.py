"""What every domain loses: its group that loses most, with intervals that hold for all domains at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration.passage import domain_of
from evop.auditing.domain_row import DomainRow
from evop.auditing.split_losses import SplitLosses
from evop.auditing.table import known
from evop.losses.worst import Measured, Worst, largest_within

DRAWS = 2000
"""Simulated audits behind the intervals."""


def domain_rows(splits: Sequence[SplitLosses]) -> list[DomainRow]:
    """Build one row per split, pattern, kind of groups and domain.

    Args:
        splits: the losses that were measured; text and questions of a split are taken together.
    """
    rows = []
    for split in dict.fromkeys(each.split for each in splits):
        rows += _rows(split, [each for each in splits if each.split == split])
    return rows


def _rows(split: str, kinds: Sequence[SplitLosses]) -> list[DomainRow]:
    names = [[group for group, each in zip(kind.groups, kind.judged, strict=True) if each] for kind in kinds]
    groups = [(domain_of(group), kind.kind, group) for kind, own in zip(kinds, names, strict=True) for group in own]
    places = list(dict.fromkeys((domain, kind) for domain, kind, _ in groups))
    parts = [np.flatnonzero([each[:2] == place for each in groups]) for place in places]
    patterns = list(kinds[0].pruned)
    measured = [
        Measured([kind.means(pattern).take(kind.judged) for pattern in patterns], kind.noise(DRAWS)[..., kind.judged])
        for kind in kinds
    ]
    found = largest_within(measured, list(split.encode()), parts, at_once=True)
    rows = []
    for at, pattern in enumerate(patterns):
        value = np.concatenate([kind.means(pattern).value[kind.judged] for kind in kinds])
        for (domain, kind), part, each in zip(places, parts, found, strict=True):
            worst_group = groups[part[value[part].argmax()]][2]
            rows.append(_row(pattern, split, kind, domain, len(part), each[at], worst_group))
    return rows


def _row(pattern: str, split: str, kind: str, domain: str, groups: int, worst: Worst, worst_group: str) -> DomainRow:
    return DomainRow(
        pattern=pattern,
        split=split,
        kind=kind,  # type: ignore[arg-type]
        domain=domain,
        groups=groups,
        worst=worst.value,
        low=known(worst.low),
        high=known(worst.high),
        worst_measured=worst.measured,
        worst_group=worst_group,
    )
