"""The mean loss of a group as its documents tell it: its error, its interval, and a test against the other groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
"""Confidence of every interval."""
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
"""Where the ends of an interval lie."""


@dataclass(frozen=True)
class Means:
    """Means over the documents of several groups.

    Attributes:
        value: the mean of each group, float64 [groups].
        spread: standard deviation of a document about the mean of its group, float64 [groups]; NaN for a single one.
        documents: number of documents, float64 [groups]; of some that differ in length, as many as would weigh alike.
    """

    value: np.ndarray
    spread: np.ndarray
    documents: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Standard error of each mean, float64 [groups]."""
        return self.spread / np.sqrt(self.documents)

    @property
    def freedom(self) -> np.ndarray:
        """Degrees of freedom of each error, float64 [groups]; 0 for a single document."""
        return self.documents - 1

    def interval(self) -> np.ndarray:
        """Compute the interval of each mean, float64 [2, groups]; NaN for a single document.

        Student's t, since a percentile bootstrap of a dozen documents is far too short: it divides by n where n - 1
        belongs, and knows no quantiles but those of the normal distribution.
        """
        half = quantile(TAILS[1], self.freedom) * self.error
        return np.array([self.value - half, self.value + half])

    def take(self, groups: np.ndarray) -> Means:
        """Keep some of the groups, given as bool [groups]."""
        return Means(self.value[groups], self.spread[groups], self.documents[groups])

    def moderated(self) -> tuple[np.ndarray, np.ndarray]:
        """Estimate the errors with what all groups say of the spread of a document.

        The variance of a dozen documents is off by four tenths; groups of one set are alike in it, so that each is
        drawn towards the common one as far as they agree. A group of one document has the common one alone.

        Returns:
            Standard errors and their degrees of freedom, float64 [groups] each.

        Source: Smyth 2004, "Linear models and empirical Bayes methods", section 6.2.
        """
        from scipy.special import digamma, polygamma

        known = np.isfinite(self.spread)
        freedom, variance = self.freedom[known], np.maximum(self.spread[known] ** 2, np.finfo(float).tiny)
        logs = np.log(variance) - digamma(freedom / 2) + np.log(freedom / 2)
        beyond = np.var(logs, ddof=1) - polygamma(1, freedom / 2).mean() if len(logs) > 1 else 0.0
        common = 2 * _inverse_trigamma(beyond) if beyond > 0 else MOST_FREEDOM
        common = min(common, MOST_FREEDOM)
        typical = np.exp(logs.mean() + digamma(common / 2) - np.log(common / 2))
        own = np.where(known, self.freedom, 0)
        pooled = (common * typical + own * np.nan_to_num(self.spread) ** 2) / (common + own)
        return np.sqrt(pooled / self.documents), common + own

    def beyond_the_others(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compare each group with the mean over the other groups, each of them counted alike.

        Returns:
            How much more the group loses, the standard error of that, and its degrees of freedom, float64 [groups]
            each; NaN for a group of one document, or where there is no other group.

        Source: Welch 1947, for the degrees of freedom.
        """
        count = len(self.value)
        if count < 2:
            return tuple(np.full((3, count), np.nan))  # type: ignore[return-value]
        error, freedom = self.moderated()
        lead = self.value - (self.value.sum() - self.value) / (count - 1)
        own, others = error**2, (np.sum(error**2) - error**2) / (count - 1) ** 2
        fourth = error**4 / freedom
        freedoms = (own + others) ** 2 / (fourth + (fourth.sum() - fourth) / (count - 1) ** 4)
        single = ~np.isfinite(self.spread)
        return tuple(np.where(single, np.nan, part) for part in (lead, np.sqrt(own + others), freedoms))  # type: ignore[return-value]


MOST_FREEDOM = 1e6
"""Degrees of freedom of a common variance from which no group differs."""


def document_means(extra: np.ndarray, counts: np.ndarray, owner: np.ndarray, groups: np.ndarray) -> Means:
    """Compute the mean of each group, and how its documents vary about it.

    Args:
        extra: what each passage costs beyond the dense model, float64 [passages].
        counts: the things that a mean is taken over, tokens or questions, float64 [passages].
        owner: the document of each passage, int64 [passages], numbered within all.
        groups: the group of each passage, int64 [passages]; a document that lies in two counts in each.

    Returns:
        Means over what is counted: a document weighs as much as it has.

    Source: for the error, the jackknife of a ratio (Efron and Stein 1981): each document is left out, so that one which
    weighs much does not vouch for itself. For the number of documents, Kish 1965, "Survey Sampling".
    """
    pairs, at = np.unique(np.stack([groups, owner]), axis=1, return_inverse=True)
    at, group = at.ravel(), pairs[0]
    sums, counted = np.bincount(at, weights=extra), np.bincount(at, weights=counts)
    totals = np.bincount(group, weights=counted)
    value, weight = np.bincount(group, weights=sums) / totals, counted / totals[group]
    with np.errstate(invalid="ignore", divide="ignore"):
        off = (sums - value[group] * counted) / totals[group] / (1 - weight)
    documents = 1 / np.bincount(group, weights=weight**2)
    single = np.bincount(group) < 2
    spread = np.sqrt(np.bincount(group, weights=off**2) * documents)
    return Means(value, np.where(single, np.nan, spread), np.where(single, 1.0, documents))


def excess_means(extra: np.ndarray, counts: np.ndarray, owner: np.ndarray, groups: np.ndarray, kind: str) -> Means:
    """Compute what each group loses beyond the dense model, of text or of questions.

    Of questions a group varies at least as if one more had been lost and one more won by half: where nothing has
    changed in a few questions, that is no proof that nothing would change in many.

    Args:
        extra: what each passage costs beyond the dense model, float64 [passages]; of a question less than one half, or
            more, according to whether its answer changed.
        counts: tokens or questions of each passage, float64 [passages].
        owner: the document of each passage, int64 [passages], numbered within all.
        groups: the group of each passage, int64 [passages].
        kind: ``text`` or ``item``.

    Source: for questions, Agresti and Min 2005, "Simple improved confidence intervals for comparing matched
    proportions".
    """
    means = document_means(extra, counts, owner, groups)
    if kind == "text":
        return means
    questions = np.bincount(groups)
    lost, won = (np.bincount(groups, weights=sign * extra > 0.5) for sign in (1, -1))
    share, churn = (lost - won) / (questions + 2), (lost + won + 1) / (questions + 2)
    least = np.sqrt((churn - share**2) * means.documents / questions)
    return Means(means.value, np.maximum(means.spread, least), means.documents)


def simulated_noise(
    extra: np.ndarray, counts: np.ndarray, owner: np.ndarray, groups: np.ndarray, draws: int, seed: Sequence[int]
) -> np.ndarray:
    """Simulate the errors of the means in further audits, in standard errors: float64 [draws, patterns, groups].

    The draws of a group depend on its number and on the seed alone, so that patterns are paired.

    Args:
        extra: what each passage costs beyond the dense model, float64 [patterns, passages].
        counts: tokens or questions of each passage, [passages].
        owner: the document of each passage, int64 [passages].
        groups: the group of each passage, int64 [passages].
        draws: number of audits.
        seed: of the draws.
    """
    found = []
    for at in range(int(groups.max()) + 1):
        members = np.flatnonzero(groups == at)
        _, document = np.unique(owner[members], return_inverse=True)
        sums = np.array([np.bincount(document, weights=row) for row in extra[:, members]])
        counted = np.bincount(document, weights=counts[members])
        rng = np.random.default_rng([at, len(counted), *seed])
        found.append(document_noise(sums, counted, draws, rng))
    return np.stack(found, axis=-1)


def document_noise(sums: np.ndarray, counts: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Simulate the errors of a group's mean in further audits, in standard errors.

    Documents are drawn again with replacement, the same ones for all patterns (paired). What has no spread of its own,
    as a group of one document, gets normal errors, likewise the same for all.

    Args:
        sums: what each pattern costs on each document beyond the dense model, float64 [patterns, documents].
        counts: what each document has, float64 [documents].
        draws: number of audits.
        rng: draws them.

    Returns:
        Errors, float64 [draws, patterns].

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), of a ratio.
    """
    normal = rng.standard_normal((draws, 1)) * np.ones(len(sums))
    number = len(counts)
    if number < 2:
        return normal
    drawn = rng.multinomial(number, np.full(number, 1 / number), size=draws)
    off = drawn @ sums.T / (drawn @ counts)[:, None] - sums.sum(axis=1) / counts.sum()
    spread = off.std(axis=0)
    return np.where(spread > 0, off / np.where(spread > 0, spread, 1), normal)


def quantile(level: float, freedom: np.ndarray) -> np.ndarray:
    """Find a quantile of Student's t for each of several degrees of freedom; NaN where there are none."""
    from scipy.stats import t

    with np.errstate(invalid="ignore"):
        return np.asarray(t.ppf(level, np.where(freedom > 0, freedom, np.nan)))


def _inverse_trigamma(value: float) -> float:
    from scipy.optimize import brentq
    from scipy.special import polygamma

    return float(brentq(lambda x: polygamma(1, x) - value, 1e-3, 1e9)) if value < 1e5 else 1e-3
