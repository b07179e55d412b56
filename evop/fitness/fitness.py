"""The fitness of a pattern: an objective over the groups' excess losses, as a search judges by it."""

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

RECENT_TRIALS = 64
"""Number of last trials that say which groups are likely to be the worst."""


@dataclass(frozen=True)
class Fitness:
    """Judges patterns on a sample.

    Attributes:
        sample: the passages that patterns are measured on.
        objective: makes the value that is minimised of the groups' excess losses.
        dense: passages of a fidelity -> the dense model's mean loss per group.
        scale: group -> the excess that counts as one; None leaves excess in the unit of the loss.
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
        """Measure patterns, one measurement per pattern, in order; a loss that is no number marks one as failed.

        Args:
            patterns: the patterns.
            fidelity: how much of the sample is measured; None for all of it.
            bounds: a value per pattern; measuring one stops early where its value is certain to be above. None for no
                bounds.
            order: the groups in the order in which they are measured, those likely to be the worst first; None for the
                sample's own order.
        """
        asked_for, fidelity = list(patterns), fidelity or self.sample.full
        limits = dict(zip(asked_for, bounds or [math.inf] * len(asked_for), strict=True))
        left, finished = asked_for, dict.fromkeys(asked_for, 0)
        groups = tuple(order or self.sample.groups)
        for end in self._ends(groups, limits):
            # What is in the store already is not measured again, so each round adds some groups to the one before.
            self.sample.measure(left, fidelity, groups[:end])
            finished |= dict.fromkeys(left, end)
            if end < len(groups):
                left = [
                    pattern for pattern in left if self._may_matter(pattern, fidelity, groups[:end], limits[pattern])
                ]
        for pattern in asked_for:
            yield self._measurement(pattern, fidelity, groups[: finished[pattern]])

    def excess(self, measurement: Measurement, fidelity: Fidelity | None = None) -> dict[str, float]:
        """Subtract the dense model's losses from a measurement: excess per measured group, in the unit of the loss."""
        dense = self.dense[(fidelity or self.sample.full).passages]
        return excess(measurement.losses, {group: dense[group] for group in measurement.losses})

    def value(self, excesses: Losses) -> float:
        """Compute the objective of the excess of every group, in units of the scale where there is one."""
        return self.objective(np.array(list(self._scaled(excesses).values())))

    def worst_group(self, excesses: Losses) -> str:
        """Name the group with the largest excess, in units of the scale where there is one."""
        scaled = self._scaled(excesses)
        return max(scaled, key=lambda group: scaled[group])

    def worst_first(self, trials: Sequence[Trial]) -> tuple[str, ...]:
        """Order the groups, likely worst first: by mean excess in the last trials that measured all of them."""
        groups, scale = self.sample.groups, self.scale or {}
        recent = [trial for trial in trials if trial.measurement.whole][-RECENT_TRIALS:]
        mean = dict.fromkeys(groups, 0.0)
        for trial in recent:
            dense = self.dense[trial.fidelity]
            for group, loss in trial.measurement.losses.items():
                mean[group] += (loss - dense[group]) / scale.get(group, 1.0) / len(recent)
        return tuple(sorted(groups, key=lambda group: -mean[group]))

    def _scaled(self, excesses: Losses) -> dict[str, float]:
        scale = self.scale or {}
        return {group: value / scale.get(group, 1.0) for group, value in excesses.items()}

    def _ends(self, groups: Sequence[str], limits: Mapping[Pattern, float]) -> Iterator[int]:
        """Yield the numbers of groups after which patterns are held against their limits.

        These are an eighth of the groups, a quarter, a half, all: in smaller steps the model would have too little to
        do at a time.
        """
        if self._can_stop_early and any(map(math.isfinite, limits.values())):
            yield from sorted({math.ceil(len(groups) / part) for part in (8, 4, 2)} - {len(groups)})
        yield len(groups)

    @cached_property
    def _can_stop_early(self) -> bool:
        """Whether some groups alone can show that a value is large, whatever the others lose.

        They cannot under a mean over losses without a floor: the others may lose less than any number.
        """
        return not self.sample.full.trained and math.isfinite(
            self.objective(np.array([self.sample.evaluator.loss.floor, *[0.0] * (len(self.sample.groups) - 1)]))
        )

    def _may_matter(self, pattern: Pattern, fidelity: Fidelity, groups: Sequence[str], limit: float) -> bool:
        """Say whether a pattern's value can still come out at or under its limit."""
        losses = self.sample.means(pattern, fidelity, groups)
        return not isinstance(losses, str) and self._value(losses, fidelity) <= limit

    def _measurement(self, pattern: Pattern, fidelity: Fidelity, groups: Sequence[str]) -> Measurement:
        """Sum up what was measured of a pattern on some groups."""
        losses = self.sample.means(pattern, fidelity, groups)
        if isinstance(losses, str):
            return Measurement(math.inf, {}, fidelity.tokens, losses)
        stopped_early = len(groups) < len(self.sample.groups)
        ordered = {group: losses[group] for group in self.sample.groups if group in losses}
        return Measurement(self._value(losses, fidelity), ordered, fidelity.tokens, at_least=stopped_early)

    def _value(self, losses: Losses, fidelity: Fidelity) -> float:
        """Compute the objective; where some groups have no losses yet, the least that it can be.

        Every objective grows with each group's excess, so it is least where the missing losses are at their floor.
        """
        dense = self.dense[fidelity.passages]
        excesses = [losses.get(group, self.sample.evaluator.loss.floor) - dense[group] for group in self.sample.groups]
        return self.value(dict(zip(self.sample.groups, excesses, strict=True)))
