"""How the search judges a pattern: an objective over the groups' excess losses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evop.fitness.sample import Losses, Sample
from evop.losses.objectives import Objective
from evop.losses.table import excess
from patterns import Fidelity, Measurement, Pattern, Trial

LOOKED_BACK = 64
"""So many of the last trials tell which groups are likely to be the worst."""


@dataclass(frozen=True)
class Fitness:
    """Judges patterns on a sample.

    Attributes:
        sample: what they are measured on.
        objective: from excess losses to the value that is minimised.
        dense: fidelity in passages -> the dense model's mean loss a group.
        scale: group -> the excess that counts as one; None leaves excess in nats a token.
    """

    sample: Sample
    objective: Objective
    dense: Mapping[int, Losses]
    scale: Mapping[str, float] | None = None

    def __call__(
        self,
        patterns: Iterable[Pattern],
        fidelity: Fidelity | None = None,
        bounds: Sequence[float] | None = None,
        order: Sequence[str] | None = None,
    ) -> Iterator[Measurement]:
        """One measurement a pattern, in order; losses that are no numbers mark it failed.

        Args:
            patterns: the patterns.
            fidelity: how much of the sample; None for all.
            bounds: a value for each pattern; one that is certain to be worse is cut. None for no bounds.
            order: in which groups are measured then, those likely to be the worst first; None for the sample's.
        """
        these, fidelity = list(patterns), fidelity or self.sample.full
        limits = dict(zip(these, bounds or [math.inf] * len(these), strict=True))
        left, finished = these, dict.fromkeys(these, 0)
        groups = tuple(order or self.sample.groups)
        for end in self._ends(groups, limits):
            self.sample.measure(left, fidelity, groups[:end])
            finished |= dict.fromkeys(left, end)
            if end < len(groups):
                left = [
                    pattern for pattern in left if self._may_matter(pattern, fidelity, groups[:end], limits[pattern])
                ]
        for pattern in these:
            yield self._measurement(pattern, fidelity, groups[: finished[pattern]])

    def excess(self, measurement: Measurement, fidelity: Fidelity | None = None) -> dict[str, float]:
        """Excess loss a group of a measurement, nats a token; of the groups that were measured."""
        dense = self.dense[(fidelity or self.sample.full).passages]
        return excess(measurement.losses, {group: dense[group] for group in measurement.losses})

    def worst_group(self, measurement: Measurement) -> str:
        """The group that pays most under a measurement in full, in units of the scale where there is one."""
        over, scale = self.excess(measurement), self.scale or {}
        return max(over, key=lambda group: over[group] / scale.get(group, 1.0))

    def worst_first(self, trials: Sequence[Trial]) -> tuple[str, ...]:
        """The groups in the order in which they are likely to be the worst, by the last trials that saw them all."""
        groups, scale = self.sample.groups, self.scale or {}
        seen = [trial for trial in trials if trial.measurement.whole][-LOOKED_BACK:]
        mean = dict.fromkeys(groups, 0.0)
        for trial in seen:
            dense = self.dense[trial.fidelity]
            for group, loss in trial.measurement.losses.items():
                mean[group] += (loss - dense[group]) / scale.get(group, 1.0) / len(seen)
        return tuple(sorted(groups, key=lambda group: -mean[group]))

    def _ends(self, groups: Sequence[str], limits: Mapping[Pattern, float]) -> Iterator[int]:
        """After how many groups the patterns are held against their limits.

        An eighth of them, a quarter, a half: fewer would leave the model too little to do at a time.
        """
        if self._can_cut and any(map(math.isfinite, limits.values())):
            yield from sorted({math.ceil(len(groups) / part) for part in (8, 4, 2)} - {len(groups)})
        yield len(groups)

    @cached_property
    def _can_cut(self) -> bool:
        """Whether some groups can tell that a value is large, whatever the others'; a mean over losses without a
        floor cannot."""
        return math.isfinite(
            self.objective(np.array([self.sample.evaluator.loss.floor, *[0.0] * (len(self.sample.groups) - 1)]))
        )

    def _may_matter(self, pattern: Pattern, fidelity: Fidelity, groups: Sequence[str], limit: float) -> bool:
        losses = self.sample.found(pattern, fidelity, groups)
        return not isinstance(losses, str) and self._value(losses, fidelity) <= limit

    def _measurement(self, pattern: Pattern, fidelity: Fidelity, groups: Sequence[str]) -> Measurement:
        losses = self.sample.found(pattern, fidelity, groups)
        if isinstance(losses, str):
            return Measurement(math.inf, {}, fidelity.tokens, losses)
        cut = len(groups) < len(self.sample.groups)
        ordered = {group: losses[group] for group in self.sample.groups if group in losses}
        return Measurement(self._value(losses, fidelity), ordered, fidelity.tokens, at_least=cut)

    def _value(self, losses: Losses, fidelity: Fidelity) -> float:
        """The objective; the least it can be, where some groups have no losses yet.

        Every objective grows with each group's excess, so it is least where theirs are.
        """
        dense, scale = self.dense[fidelity.passages], self.scale or {}
        over = [losses.get(group, self.sample.evaluator.loss.floor) - dense[group] for group in self.sample.groups]
        counted = [value / scale.get(group, 1.0) for group, value in zip(self.sample.groups, over, strict=True)]
        return self.objective(np.array(counted))
