"""Whether what is tolerated held on what the search never saw: one row a pattern and split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from calibration.passage import domain_of
from evop.auditing.audit_rows import BorneRow
from evop.auditing.split_losses import SplitLosses
from evop.auditing.table import known
from evop.losses.bearing import DRAWS, Bearing, Borne
from evop.losses.tolerance import Tolerances


def borne_rows(splits: Sequence[SplitLosses], tolerated: Mapping[str, Tolerances]) -> list[BorneRow]:
    """Hold the losses of every pattern against what is tolerated of it, text and questions together.

    Args:
        splits: the losses that were measured.
        tolerated: pattern -> what its groups may lose; a pattern of which nothing was said is left out.
    """
    rows = []
    for split in dict.fromkeys(each.split for each in splits):
        kinds = [each for each in splits if each.split == split]
        for pattern, tolerances in tolerated.items():
            parts = [part for kind in kinds if (part := _borne(kind, pattern, tolerances)) is not None]
            if parts:
                rows.append(_row(split, pattern, tolerances, Bearing.of(parts, list(split.encode()))))
    return rows


def _borne(losses: SplitLosses, pattern: str, tolerances: Tolerances) -> Borne | None:
    """Take the judged groups of a kind of which something was said; None where there are none."""
    of = [tolerances.of(domain_of(group), losses.kind) for group in losses.groups]
    taken = losses.judged & np.array([tolerance is not None for tolerance in of])
    if not taken.any():
        return None
    at = list(losses.pruned).index(pattern)
    groups = tuple(group for group, each in zip(losses.groups, taken, strict=True) if each)
    tolerance = np.array([each for each, takes in zip(of, taken, strict=True) if takes], dtype=float)
    noise = losses.noise(DRAWS)[:, at, taken]
    return Borne(losses.kind, groups, losses.means(pattern).take(taken), noise, tolerance)


def _row(split: str, pattern: str, tolerances: Tolerances, bearing: Bearing) -> BorneRow:
    largest, worst = bearing.largest, bearing.worst
    return BorneRow(
        pattern=pattern,
        split=split,
        tolerate=list(tolerances.words),
        groups=len(bearing.groups),
        measured=largest.measured,
        largest=largest.value,
        low=known(largest.low),
        high=known(largest.high),
        worst_group=bearing.groups[worst],
        worst_kind=bearing.kinds[worst],  # type: ignore[arg-type]
        worst_loss=float(bearing.loss[worst]),
        worst_tolerance=float(bearing.tolerance[worst]),
        over=[group for group, share in zip(bearing.groups, bearing.share, strict=True) if share > 1],
        verdict=bearing.verdict,
    )
