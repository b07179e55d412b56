"""A Gaussian process over patterns and fidelities: what was measured predicts what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from patterns.part import Part, Pattern
from patterns.space import PatternSpace


@dataclass(frozen=True)
class SurrogateSettings:
    """Hyperparameters of the Gaussian process; variances are in units of that of the values it is fitted to.

    Attributes:
        linear_variance: variance of the linear kernel: of the sum of the parts' own effects, all of them gone. The
            variance of the kernel of how parts act together is 1.
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
    length_scale: float = 8.0
    fidelity_variance: float = 0.1
    noise: float = 1e-3
    low_fidelity_noise: float = 1e-2
    max_points: int = 400
    log_values: bool = True


class Surrogate:
    """Predicts the logarithm of patterns' values on the whole sample from values at all fidelities.

    A pattern is the share of each part's importance that is gone. Its value is a sum of the parts' own effects, and
    of a smooth function of all of them; a lower fidelity adds a shift, and a smaller smooth function of its own.
    Losses multiply rather than add where parts leave together, hence logarithms.

    Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), algorithm 2.1; fidelities as in
    Kennedy and O'Hagan, "Predicting the output from a complex computer code when fast approximations are available"
    (2000), with the whole sample as their costly code.

    Args:
        space: the space whose patterns are predicted.
        settings: the hyperparameters.
    """

    def __init__(self, space: PatternSpace, settings: SurrogateSettings | None = None) -> None:
        self.settings = settings or SurrogateSettings()
        self._free = space.free
        self._shares = [shares(space.parts[i]) for i in space.free]
        self.fitted = 0
        """Number of measurements in the last fit."""

    def fit(self, values: Mapping[tuple[Pattern, float], float]) -> bool:
        """Fit to measurements; failed ones are left out.

        Args:
            values: pattern and fidelity -> value; a fidelity of 1.0 is the whole sample.

        Returns:
            Whether there was any measurement to fit.
        """
        settings = self.settings
        keys = _best_and_newest({key: v for key, v in values.items() if np.isfinite(v)}, settings.max_points)
        if not keys:
            return False
        y = np.array([values[key] for key in keys])
        y = _logarithms(y) if settings.log_values else y
        fidelity = np.array([fidelity for _, fidelity in keys])
        self._x = self._features([pattern for pattern, _ in keys])
        full = y[fidelity == 1.0]
        self._mean, self._scale = float((full if full.size else y).mean()), float(y.std()) or 1.0
        kernel = self._kernel(self._x, self._x)
        same = (fidelity[:, None] == fidelity) & (fidelity < 1.0)
        noise = np.where(fidelity < 1.0, settings.low_fidelity_noise, settings.noise)
        # Values of one lower fidelity share its shift, of variance 1, and its own smooth function.
        self._factor = np.linalg.cholesky(kernel + same * (1.0 + settings.fidelity_variance * kernel) + np.diag(noise))
        half = np.linalg.solve(self._factor, (y - self._mean) / self._scale)
        self._weights = np.linalg.solve(self._factor.T, half)
        self.fitted = len(keys)
        return True

    def predict(self, patterns: Sequence[Pattern]) -> tuple[np.ndarray, np.ndarray]:
        """Predict the logarithms of patterns' values on the whole sample.

        Returns:
            Mean and standard deviation, float [patterns] each; of the values themselves where no logarithms are fitted.
        """
        x = self._features(patterns)
        kernel = self._kernel(x, self._x)
        explained = (np.linalg.solve(self._factor, kernel.T) ** 2).sum(axis=0)
        prior = self.settings.linear_variance * (x**2).mean(axis=1) + 1.0
        deviation = np.sqrt(np.maximum(prior - explained, 0.0))
        return self._mean + self._scale * (kernel @ self._weights), self._scale * deviation

    def _features(self, patterns: Sequence[Pattern]) -> np.ndarray:
        """Return the share of its importance that is gone, per part; float [patterns, free parts]."""
        levels = np.array([pattern.levels for pattern in patterns])
        return np.stack([share[levels[:, i]] for i, share in zip(self._free, self._shares, strict=True)], axis=1)

    def _kernel(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the covariance of patterns' values, float [a, b]."""
        # Part by part: all at once would take memory for every pair and part.
        distance = np.zeros((len(a), len(b)))
        for column, other in zip(a.T, b.T, strict=True):
            distance += np.abs(column[:, None] - other)
        linear = self.settings.linear_variance * (a @ b.T) / a.shape[1]
        return linear + np.exp(-distance / self.settings.length_scale)


def shares(part: Part) -> np.ndarray:
    """Return the share of a part's importance that is gone at each level, half-way between the prices around it.

    Returns:
        float [levels]; 0 where the part is dense, 1 where it is gone.
    """
    prices = np.array(part.ladder)
    return np.concatenate([[0.0], (prices[1:] + prices[:-1]) / 2, [1.0]])


def _best_and_newest(values: Mapping[tuple[Pattern, float], float], most: int) -> list[tuple[Pattern, float]]:
    """Return all keys where they are few, else those of the best and the newest values, in the order measured."""
    keys = list(values)
    if len(keys) <= most:
        return keys
    chosen = {*sorted(keys, key=lambda key: values[key])[: most // 2], *keys[-most // 2 :]}
    return [key for key in keys if key in chosen]


def _logarithms(values: np.ndarray) -> np.ndarray:
    """Return logarithms of positive values; where some removal does good, of the distances from the best."""
    if values.min() > 0:
        return np.log(values)
    return np.log(values - values.min() + (np.median(values) - values.min() or 1.0))
