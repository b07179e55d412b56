"""From one value per group to one value: the mean of the groups, or the worst of them. Numpy only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evop.errors import refuse_unknown


def mean(values: np.ndarray) -> np.ndarray:
    """Take the mean over groups, each of equal weight whatever its tokens: [groups, n] -> [n]."""
    return values.mean(axis=0)


def worst(values: np.ndarray) -> np.ndarray:
    """Take the largest over groups, so that what one rare domain needs is not outvoted: [groups, n] -> [n]."""
    return values.max(axis=0)


Over = Callable[[np.ndarray], np.ndarray]
"""How groups are combined: float64 [groups, n] -> [n]."""

OVERS: dict[str, Over] = {"mean": mean, "worst": worst}


def over_of(name: str) -> Over:
    """Find a way to combine groups by name.

    Raises:
        EvopError: unknown name.
    """
    refuse_unknown("--importance-over", name, OVERS)
    return OVERS[name]
