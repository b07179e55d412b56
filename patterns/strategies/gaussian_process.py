"""A Gaussian process over patterns and fidelities: what was measured predicts what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from patterns.part import Pattern
from patterns.space import PatternSpace
from patterns.strategies.sensitivities import LEAST, gone

LINEAR_BELOW = 0.03
"""Values under this fraction of the median are compared by their differences, values above it by their ratios."""


@dataclass(frozen=True)
class GaussianProcessSettings:
    """Hyperparameters of the Gaussian process; variances are in units of that of the values it is fitted to.

    Attributes:
        linear_variance: variance of the linear kernel: of what the parts' own effects, all of them gone, are
            otherwise than their sensitivities. The variance of the kernel of how parts act together is 1.
        slope_variance: variance of how strongly values grow with the sum of the sensitivities, about one for one.
        length_scale: distance, in whole parts in which two patterns differ, at which they tell little of each other.
        fidelity_variance: variance, from pattern to pattern, of what a lower fidelity sees otherwise than the whole
            sample.
        noise: variance of what no function of the pattern explains, on the whole sample.
        low_fidelity_noise: the same at a lower fidelity.
        max_points: number of measurements that are fitted at most, half of them the best and half the newest; the cost
            grows with its third power.
        log_values: whether logarithms of the values are fitted, or the values as they are.
    """

    linear_variance: float = 2.0
    slope_variance: float = 0.1
    length_scale: float = 8.0
    fidelity_variance: float = 0.1
    noise: float = 1e-3
    low_fidelity_noise: float = 1e-2
    max_points: int = 400
    log_values: bool = True


class GaussianProcess:
    """Predicts the logarithm of patterns' values on the whole sample from values at all fidelities.

    What is expected of a pattern before any is measured is the sum of its parts' sensitivities. The process learns
    what is otherwise: the parts' own effects, and a smooth function of all of them; a lower fidelity adds a shift, and
    a smaller smooth function of its own. Losses multiply rather than add where parts leave together, hence
    logarithms; near zero, where a removal may do good, they go over into differences.

    Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), algorithm 2.1 and section 2.7;
    fidelities as in Kennedy and O'Hagan, "Predicting the output from a complex computer code when fast approximations
    are available" (2000), with the whole sample as their costly code.

    Args:
        space: the space whose patterns are predicted.
        settings: the hyperparameters.
    """

    def __init__(self, space: PatternSpace, settings: GaussianProcessSettings | None = None) -> None:
        self.settings = settings or GaussianProcessSettings()
        self._space, self._free = space, list(space.free)
        self._cost: np.ndarray | None = None
        self.fitted = 0
        """Number of measurements in the last fit."""

    def fit(self, values: Mapping[tuple[Pattern, float], float], cost: np.ndarray | None = None) -> bool:
        """Fit to measurements; failed ones are left out.

        Args:
            values: pattern and fidelity -> value; a fidelity of 1.0 is the whole sample.
            cost: float [parts], above zero: what each part costs when it leaves alone; None where that is not known.

        Returns:
            Whether there was any measurement to fit.
        """
        settings = self.settings
        keys = _best_and_newest({key: v for key, v in values.items() if np.isfinite(v)}, settings.max_points)
        self._cost, self.fitted = cost, len(keys)
        if not keys:
            return False
        self._x, self._expected = self._features([pattern for pattern, _ in keys])
        measured = np.array([values[key] for key in keys])
        y = (_logarithms(measured) if settings.log_values else measured) - self._expected
        fidelity = np.array([fidelity for _, fidelity in keys])
        full = y[fidelity == 1.0]
        self._mean, self._scale = float((full if full.size else y).mean()), float(y.std()) or 1.0
        self._middle = float(self._expected.mean())
        kernel = self._kernel(self._x, self._x) + self._slopes(self._expected[:, None], self._expected)
        same = (fidelity[:, None] == fidelity) & (fidelity < 1.0)
        noise = np.where(fidelity < 1.0, settings.low_fidelity_noise, settings.noise)
        # Values of one lower fidelity share its shift, of variance 1, and its own smooth function.
        self._factor = np.linalg.cholesky(kernel + same * (1.0 + settings.fidelity_variance * kernel) + np.diag(noise))
        half = np.linalg.solve(self._factor, (y - self._mean) / self._scale)
        self._weights = np.linalg.solve(self._factor.T, half)
        return True

    def predict(self, patterns: Sequence[Pattern]) -> tuple[np.ndarray, np.ndarray]:
        """Predict the logarithms of patterns' values on the whole sample; before a fit, up to a constant.

        Returns:
            Mean and standard deviation, float [patterns] each; of the values themselves where no logarithms are fitted.
        """
        x, expected = self._features(patterns)
        if not self.fitted:
            return expected, np.ones(len(patterns))
        kernel = self._kernel(x, self._x) + self._slopes(expected[:, None], self._expected)
        explained = (np.linalg.solve(self._factor, kernel.T) ** 2).sum(axis=0)
        prior = self.settings.linear_variance * (x**2).mean(axis=1) + 1.0 + self._slopes(expected, expected)
        deviation = np.sqrt(np.maximum(prior - explained, 0.0))
        return expected + self._mean + self._scale * (kernel @ self._weights), self._scale * deviation

    def _features(self, patterns: Sequence[Pattern]) -> tuple[np.ndarray, np.ndarray]:
        """Return what the process sees of patterns.

        Returns:
            The share of its importance that is gone, per part, float [patterns, free parts]; and what is expected of
            the value, float [patterns]: the (logarithm of the) sum of the sensitivities, 0 where there are none.
        """
        share = gone(self._space, patterns)
        if self._cost is None:
            return share[:, self._free], np.zeros(len(patterns))
        total = share @ self._cost
        # Only the dense pattern removes nothing.
        total = np.maximum(total, LEAST * self._cost.min())
        return share[:, self._free], np.log(total) if self.settings.log_values else total

    def _kernel(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the covariance of what patterns' values are otherwise than expected, float [a, b]."""
        # Part by part: all at once would take memory for every pair and part.
        distance = np.zeros((len(a), len(b)))
        for column, other in zip(a.T, b.T, strict=True):
            distance += np.abs(column[:, None] - other)
        linear = self.settings.linear_variance * (a @ b.T) / a.shape[1]
        return linear + np.exp(-distance / self.settings.length_scale)

    def _slopes(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the covariance that comes of how strongly values grow with what is expected of them."""
        return self.settings.slope_variance * (a - self._middle) * (b - self._middle) / self._scale**2


def _best_and_newest(values: Mapping[tuple[Pattern, float], float], most: int) -> list[tuple[Pattern, float]]:
    """Return all keys where they are few, else those of the best and the newest values, in the order measured."""
    keys = list(values)
    if len(keys) <= most:
        return keys
    chosen = {*sorted(keys, key=lambda key: values[key])[: most // 2], *keys[-most // 2 :]}
    return [key for key in keys if key in chosen]


def _logarithms(values: np.ndarray) -> np.ndarray:
    """Return logarithms of values; of small ones, which may be below zero, differences: an inverse hyperbolic sine.

    The scale is that of the median, which hardly moves from fit to fit.
    """
    small = LINEAR_BELOW * (float(np.median(np.abs(values))) or 1.0)
    return np.arcsinh(values / (2 * small)) + np.log(small)
