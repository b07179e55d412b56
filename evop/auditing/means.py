"""The mean loss of a group as its documents tell it: its error, its interval, and a test against the other groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
"""Confidence of every interval."""


@dataclass(frozen=True)
class Means:
    """Means over the documents of several groups.

    Attributes:
        value: the mean of each group, float64 [groups].
        spread: standard deviation of a document about the mean of its group, float64 [groups]; NaN for a single one.
        documents: number of documents, int64 [groups].
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
        """Degrees of freedom of each error, int64 [groups]."""
        return self.documents - 1

    def interval(self) -> np.ndarray:
        """Compute the interval of each mean, float64 [2, groups]; NaN for a single document.

        Student's t: a percentile bootstrap of a dozen documents is a tenth too short, since it divides by n where
        n - 1 belongs and knows no quantiles but those of the normal distribution.
        """
        half = quantile((1 + LEVEL) / 2, self.freedom) * self.error
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

        known = self.freedom > 0
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
        single = self.documents < 2
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

    Source: Cochran, "Sampling Techniques" (1977), section 2.11, variance of a ratio.
    """
    pairs, at = np.unique(np.stack([groups, owner]), axis=1, return_inverse=True)
    at, group = at.ravel(), pairs[0]
    sums, weights = np.bincount(at, weights=extra), np.bincount(at, weights=counts)
    documents = np.bincount(group)
    value = np.bincount(group, weights=sums) / np.bincount(group, weights=weights)
    mean_weight = np.bincount(group, weights=weights) / documents
    off = (sums - value[group] * weights) / mean_weight[group]
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(np.bincount(group, weights=off**2) / (documents - 1))
    return Means(value, np.where(documents > 1, spread, np.nan), documents)


def quantile(level: float, freedom: np.ndarray) -> np.ndarray:
    from scipy.stats import t

    with np.errstate(invalid="ignore"):
        return np.asarray(t.ppf(level, np.where(freedom > 0, freedom, np.nan)))


def _inverse_trigamma(value: float) -> float:
    from scipy.optimize import brentq
    from scipy.special import polygamma

    return float(brentq(lambda x: polygamma(1, x) - value, 1e-3, 1e9)) if value < 1e5 else 1e-3
