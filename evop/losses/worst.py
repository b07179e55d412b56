"""The worst of several groups: how much it loses, with an interval, and which group it is.

The largest of noisy means lies above the largest mean, and the bootstrap of a maximum adds the noise once more. So it
is read in two ways, and the mean of the two is taken, for the estimate and for both ends of its interval:

* what the groups' means may be, given what was measured of all of them (``true_means``): the largest of each draw.
  Where several groups are nearly the worst it errs above; one far out is drawn a little towards the others.
* what audits of such groups would show: how far their worst lies above the true worst is taken off the worst that was
  measured.

How often the intervals cover the truth is measured by ``benchmarks/coverage.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evop.losses.means import LEVEL, TAILS, Means, quantile

SCALES = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0])
"""Spreads of the groups that are thought possible, in typical errors of a mean."""
WEIGHT = 0.5
"""How much each of them is believed beforehand, in groups."""
SETTLING = 100
"""Draws that are left out at the beginning."""
NORMAL = 1.959964
"""Standard deviations from the middle of a normal distribution to the end of its middle 95%."""
TOGETHER = 0.95
"""The groups that may be the worst are so many that one of them is, with this chance."""


@dataclass(frozen=True)
class Worst:
    """The worst group of a pattern.

    Attributes:
        measured: the largest mean that was measured; too high by what chance adds.
        value: the estimate of the largest true mean.
        low: the lower end of its interval; NaN where nothing is known of the spread.
        high: the upper end.
        shares: how sure it is of each group that it is the worst, float64 [groups], together 1.
        above: how far the worst of simulated audits lies above the true worst, float64 [draws].
        again: the worst of audits that err about what was measured here, float64 [draws].
    """

    measured: float
    value: float
    low: float
    high: float
    shares: np.ndarray
    above: np.ndarray
    again: np.ndarray

    @property
    def among(self) -> np.ndarray:
        """The fewest groups of which one is the worst for all but sure, the likeliest first: int64 [groups]."""
        order = np.argsort(-self.shares, kind="stable")
        return order[: int(np.searchsorted(np.cumsum(self.shares[order]), TOGETHER)) + 1]


def worst_of(patterns: list[Means], noise: np.ndarray, seed: list[int]) -> list[Worst]:
    """Estimate the worst group of every pattern.

    Args:
        patterns: the measured means under each pattern, of the same groups.
        noise: errors of the means in simulated audits, in standard errors, float64 [draws, patterns, groups]; the same
            documents are drawn for all patterns.
        seed: of the draws of true means.
    """
    return largest_of([Measured(patterns, noise)], seed)


@dataclass(frozen=True)
class Measured:
    """Groups of one kind, whose means are alike in unit and in spread.

    Attributes:
        patterns: the measured means under each pattern, of the same groups.
        noise: errors of the means in simulated audits, in standard errors, float64 [draws, patterns, groups].
        unit: what counts as one in each group, float64 [groups], such as what it may lose; None for the means as they
            are.
    """

    patterns: list[Means]
    noise: np.ndarray
    unit: np.ndarray | None = None


def largest_of(kinds: Sequence[Measured], seed: list[int]) -> list[Worst]:
    """Estimate the largest mean of every pattern over groups of several kinds, each in its unit.

    Likely true means are drawn kind by kind, in the unit in which the groups of a kind are alike; then each is divided
    by what counts as one in its group.

    Args:
        kinds: what was measured of each kind, under the same patterns.
        seed: of the draws of true means.
    """
    every = np.arange(sum(len(kind.patterns[0].value) for kind in kinds))
    return largest_within(kinds, seed, [every])[0]


def largest_within(
    kinds: Sequence[Measured], seed: list[int], parts: Sequence[np.ndarray], *, at_once: bool = False
) -> list[list[Worst]]:
    """Estimate the largest mean of every pattern within parts of the groups, from the draws of all groups together.

    Args:
        kinds: what was measured of each kind, under the same patterns.
        seed: of the draws of true means.
        parts: the groups of each part, by their number in all kinds one after the other, int64 [groups of the part].
        at_once: whether the intervals are so wide that those of all parts hold together; else each by itself does.

    Returns:
        For each part, what is known of every pattern.
    """
    value = np.concatenate([_in_units(np.array([m.value for m in kind.patterns]), kind) for kind in kinds], axis=-1)
    draws = len(kinds[0].noise)
    if not all(np.isfinite(kind.patterns[0].spread).any() for kind in kinds):
        return [[_unknown(row, draws) for row in value[:, part]] for part in parts]
    drawn = [_drawn(kind, [*seed, *[at] * (at > 0)]) for at, kind in enumerate(kinds)]
    truth, off = (np.concatenate([each[i] for each in drawn], axis=-1) for i in range(2))
    largest = np.array([truth[..., part].max(axis=-1) for part in parts])
    above = np.array([(truth + off)[..., part].max(axis=-1) for part in parts]) - largest
    given, added = ([*zip(each, _ends(each, at_once).swapaxes(0, 1), strict=True)] for each in (largest, above))
    return [
        _largest(value[:, part], truth[..., part], off[..., part], given[at], added[at])
        for at, part in enumerate(parts)
    ]


def _ends(drawn: np.ndarray, at_once: bool) -> np.ndarray:
    """Find the ends of the middle 95% of draws, of each part alone or so that 95% lie between those of all parts.

    Args:
        drawn: the draws of every part, float64 [parts, draws, patterns].
        at_once: whether the ends of all parts hold together.

    Returns:
        Float64 [2, parts, patterns].

    Source: for all parts at once, by the ranks of the draws, Besag, Green, Higdon and Mengersen 1995, "Bayesian
    computation and stochastic systems", section 6.3.
    """
    if not at_once:
        return np.quantile(drawn, TAILS, axis=1)
    ranks = (drawn.argsort(axis=1).argsort(axis=1) + 0.5) / drawn.shape[1]
    outermost = np.minimum(ranks, 1 - ranks).min(axis=0)
    tails = np.quantile(outermost, 1 - LEVEL, axis=0)
    return np.stack([np.quantile(drawn[..., i], (tail, 1 - tail), axis=1) for i, tail in enumerate(tails)], axis=-1)


def _largest(
    value: np.ndarray, truth: np.ndarray, off: np.ndarray, given: Sequence[np.ndarray], added: Sequence[np.ndarray]
) -> list[Worst]:
    """Read the largest in two ways.

    Args:
        value: measured means, float64 [patterns, groups].
        truth: likely true ones, float64 [draws, patterns, groups].
        off: errors of simulated audits, likewise.
        given: the largest true one in every draw, float64 [draws, patterns], and the ends of it, float64 [2, patterns].
        added: what a simulated audit adds to it, likewise.
    """
    (largest, (least, most)), (above, (less, more)) = given, added
    measured = value.max(axis=-1)
    low, high = (least + measured - more) / 2, (most + measured - less) / 2
    middle = (largest.mean(axis=0) + measured - above.mean(axis=0)) / 2
    again, winners = (value + off).max(axis=-1), truth.argmax(axis=-1)
    shares = np.array([np.bincount(row, minlength=value.shape[1]) for row in winners.T]) / len(truth)
    return [
        Worst(float(measured[i]), float(middle[i]), float(low[i]), float(high[i]), shares[i], above[:, i], again[:, i])
        for i in range(len(value))
    ]


def _drawn(kind: Measured, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw likely true means, and errors of simulated audits, in units: float64 [draws, patterns, groups] each."""
    value = np.array([means.value for means in kind.patterns])
    moderated = [means.moderated() for means in kind.patterns]
    error = np.array([error * quantile(TAILS[1], freedom) / NORMAL for error, freedom in moderated])
    truth = true_means(value, error, len(kind.noise), np.random.default_rng(seed))
    return _in_units(truth, kind), _in_units(kind.noise * error, kind)


def _in_units(values: np.ndarray, kind: Measured) -> np.ndarray:
    return values if kind.unit is None else values / kind.unit


def gap_interval(one: Worst, other: Worst) -> tuple[float, float]:
    """Compute the interval of how much more the worst group of one pattern loses than that of another.

    Here too the mean of two readings: what audits on the same documents would add to either worst is taken off the gap
    that was measured, which makes it a little short; and the bootstrap of the gap, which makes it a little long.
    """
    less, more = np.quantile(one.above - other.above, TAILS)
    low, high = np.quantile(one.again - other.again, TAILS)
    gap = one.measured - other.measured
    return float(gap - more + low) / 2, float(gap - less + high) / 2


def true_means(value: np.ndarray, error: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw what the means of the groups may be, given all that were measured.

    Groups vary about a common mean, each by one of several spreads; how many by which is learnt from them. So groups
    that are alike are drawn together, and one that stands far out is left there.

    Args:
        value: measured means, float64 [patterns, groups].
        error: their standard errors, likewise.
        draws: number of draws.
        rng: draws them.

    Returns:
        Means, float64 [draws, patterns, groups].

    Source: Gibbs sampling of a scale mixture of normal distributions; the mixture is that of Stephens 2017, "False
    discovery rates: a new deal".
    """
    noise = np.maximum(error, np.finfo(float).eps) ** 2
    between = (SCALES * np.sqrt(noise.mean(axis=-1))[:, None]) ** 2
    total = noise[..., None] + between[:, None]
    weights = np.full((len(value), 1, len(SCALES)), 1 / len(SCALES))
    common, found = np.median(value, axis=-1)[:, None], []
    for _ in range(SETTLING + draws):
        likely = np.log(weights) - np.log(total) / 2 - ((value - common) ** 2)[..., None] / (2 * total)
        scale = (likely + rng.gumbel(size=likely.shape)).argmax(axis=-1)
        spread = np.take_along_axis(between, scale, axis=-1)
        exact = 1 / (noise + spread)
        middle, width = (exact * value).sum(axis=-1) / exact.sum(axis=-1), 1 / np.sqrt(exact.sum(axis=-1))
        common = (middle + width * rng.standard_normal(len(value)))[:, None]
        kept = spread * exact
        found.append(common + kept * (value - common) + np.sqrt(kept * noise) * rng.standard_normal(value.shape))
        counts = (scale[..., None] == np.arange(len(SCALES))).sum(axis=1)
        parts = rng.gamma(counts + WEIGHT) + np.finfo(float).tiny
        weights = (parts / parts.sum(axis=-1, keepdims=True))[:, None]
    return np.array(found[SETTLING:])


def _unknown(value: np.ndarray, draws: int) -> Worst:
    """Describe the worst of groups of one document each: nothing is known of how a document varies."""
    worst = float(value.max())
    shares = np.full(len(value), 1 / len(value))
    return Worst(worst, worst, float("nan"), float("nan"), shares, np.full(draws, np.nan), np.full(draws, np.nan))
