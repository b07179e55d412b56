"""What was measured, as a guess of what was not: a Gaussian process over patterns and fidelities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from patterns.part import Part, Pattern
from patterns.space import PatternSpace

OWN = 2.0
"""Variance of the sum of the parts' own effects, all of them gone, against that of how they act together."""
REACH = 8.0
"""So many whole parts in which two patterns differ, and they tell little of each other."""
APART = 0.1
"""Variance of what a smaller fidelity sees otherwise from pattern to pattern, against what the whole sample sees."""
NOISE, LOOK_NOISE = 1e-3, 1e-2
"""Variance of what no function of the pattern explains, in full and at a smaller fidelity."""
MOST = 400
"""Measurements learnt from, half of them the best and half the newest; the cost grows with their third power."""


class Surrogate:
    """Guesses the logarithm of patterns' values in full from values at all fidelities.

    A pattern is the share of each part's importance that is gone. Its value is a sum of the parts' own effects, and
    of a smooth function of all of them; a smaller fidelity adds a shift, and a smaller smooth function of its own.
    Losses multiply rather than add where parts leave together, hence logarithms.

    Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), algorithm 2.1; fidelities as in
    Kennedy and O'Hagan, "Predicting the output from a complex computer code when fast approximations are available"
    (2000), with the whole sample as their costly code.
    """

    def __init__(self, space: PatternSpace) -> None:
        self._free = space.free
        self._shares = [shares(space.parts[i]) for i in space.free]

    def learn(self, values: Mapping[tuple[Pattern, float], float]) -> bool:
        """Fit to measurements; failed ones are left out.

        Args:
            values: pattern and fidelity -> value; a fidelity of 1.0 is the whole sample.

        Returns:
            Whether there was anything to learn from.
        """
        keys = _worth_learning({key: value for key, value in values.items() if np.isfinite(value)})
        if not keys:
            return False
        y = _logarithms(np.array([values[key] for key in keys]))
        fidelity = np.array([fidelity for _, fidelity in keys])
        self._x = self._features([pattern for pattern, _ in keys])
        full = y[fidelity == 1.0]
        self._mean, self._scale = float((full if full.size else y).mean()), float(y.std()) or 1.0
        alike = self._alike(self._x, self._x)
        same = (fidelity[:, None] == fidelity) & (fidelity < 1.0)
        self._factor = np.linalg.cholesky(
            alike + same * (1.0 + APART * alike) + np.diag(np.where(fidelity < 1.0, LOOK_NOISE, NOISE))
        )
        half = np.linalg.solve(self._factor, (y - self._mean) / self._scale)
        self._weights = np.linalg.solve(self._factor.T, half)
        return True

    def guess(self, patterns: Sequence[Pattern]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the logarithm of each pattern's value in full, float [patterns] each."""
        x = self._features(patterns)
        alike = self._alike(x, self._x)
        known = (np.linalg.solve(self._factor, alike.T) ** 2).sum(axis=0)
        alone = OWN * (x**2).mean(axis=1) + 1.0
        spread = np.sqrt(np.maximum(alone - known, 0.0))
        return self._mean + self._scale * (alike @ self._weights), self._scale * spread

    def _features(self, patterns: Sequence[Pattern]) -> np.ndarray:
        """Share of its importance that is gone, a part; float [patterns, free parts]."""
        levels = np.array([pattern.levels for pattern in patterns])
        return np.stack([share[levels[:, i]] for i, share in zip(self._free, self._shares, strict=True)], axis=1)

    def _alike(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The covariance of patterns' values, float [a, b]."""
        # Part by part: all at once would take memory for every pair and part.
        apart = np.zeros((len(a), len(b)))
        for mine, other in zip(a.T, b.T, strict=True):
            apart += np.abs(mine[:, None] - other)
        return OWN * (a @ b.T) / a.shape[1] + np.exp(-apart / REACH)


def shares(part: Part) -> np.ndarray:
    """The share of the part's importance that is gone at each level, between the prices around it; float [levels]."""
    prices = np.array(part.ladder)
    return np.concatenate([[0.0], (prices[1:] + prices[:-1]) / 2, [1.0]])


def _worth_learning(values: Mapping[tuple[Pattern, float], float]) -> list[tuple[Pattern, float]]:
    """All of them where they are few, else the best and the newest, in the order measured."""
    keys = list(values)
    if len(keys) <= MOST:
        return keys
    worth = {*sorted(keys, key=lambda key: values[key])[: MOST // 2], *keys[-MOST // 2 :]}
    return [key for key in keys if key in worth]


def _logarithms(values: np.ndarray) -> np.ndarray:
    """Logarithms where all values are positive; where some removal does good, over the distance from the best."""
    if values.min() > 0:
        return np.log(values)
    return np.log(values - values.min() + (np.median(values) - values.min() or 1.0))
