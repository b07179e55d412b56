"""How the losses of all groups stand to what each may lose: one number, and its interval, for all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibration.passage import domain_of
from evop.losses.means import Means
from evop.losses.worst import Measured, Worst, largest_within

DRAWS = 2000
"""Simulated audits behind an interval."""
Verdict = Literal["within", "beyond", "open"]
"""Surely within what is tolerated, surely beyond, or not to be told apart."""


@dataclass(frozen=True)
class Borne:
    """Groups of one kind: what they lose under one pattern, and what they may.

    Attributes:
        kind: ``text`` or ``item``.
        groups: group keys.
        means: what each loses beyond the dense model, in the unit of the kind.
        noise: errors of these means in simulated audits, in standard errors, float64 [draws, groups].
        tolerance: what each may lose, float64 [groups].
    """

    kind: str
    groups: tuple[str, ...]
    means: Means
    noise: np.ndarray
    tolerance: np.ndarray


@dataclass(frozen=True)
class Bearing:
    """The groups of a pattern beside what each of them may lose.

    Attributes:
        kinds: the kind of each group.
        groups: group keys.
        tolerance: what each may lose, float64 [groups].
        loss: what each lost, float64 [groups].
        interval: the ends of each loss's own interval, float64 [2, groups]; NaN for a single document.
        largest: the largest of loss over tolerance, 1 where a group loses just what it may.
        domains: domain, and kind of its groups -> the largest within them, likewise.
    """

    kinds: tuple[str, ...]
    groups: tuple[str, ...]
    tolerance: np.ndarray
    loss: np.ndarray
    interval: np.ndarray
    largest: Worst
    domains: Mapping[tuple[str, str], Worst]

    @classmethod
    def of(cls, parts: Sequence[Borne], seed: Sequence[int]) -> Bearing:
        """Hold losses against tolerances.

        Args:
            parts: the groups of each kind that was measured.
            seed: of the draws of likely true losses.
        """
        measured = [Measured([part.means], part.noise[:, None], part.tolerance) for part in parts]
        places = [(domain_of(group), part.kind) for part in parts for group in part.groups]
        domains = {place: np.flatnonzero([each == place for each in places]) for place in sorted(set(places))}
        (largest,), *each = largest_within(measured, list(seed), [np.arange(len(places)), *domains.values()])
        return cls(
            tuple(kind for _, kind in places),
            tuple(group for part in parts for group in part.groups),
            np.concatenate([part.tolerance for part in parts]),
            np.concatenate([part.means.value for part in parts]),
            np.concatenate([part.means.interval() for part in parts], axis=1),
            largest,
            {place: worst for place, (worst,) in zip(domains, each, strict=True)},
        )

    @property
    def share(self) -> np.ndarray:
        """What each group lost, in what it may lose, float64 [groups]."""
        return self.loss / self.tolerance

    @property
    def worst(self) -> int:
        """Index of the group that uses most of what it may lose."""
        return int(self.share.argmax())

    @property
    def verdict(self) -> Verdict:
        """Say whether no group loses more than it may, by the interval of the largest of them all."""
        if self.largest.high <= 1:
            return "within"
        return "beyond" if self.largest.low > 1 else "open"
