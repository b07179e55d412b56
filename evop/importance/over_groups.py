"""From the values of every group to those of all: the mean of the groups, or the worst of them. Numpy only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evop.errors import refuse_unknown


def mean(values: np.ndarray) -> np.ndarray:
    """Take the mean over groups, each of equal weight whatever its tokens."""
    return values.mean(axis=0)


def worst(values: np.ndarray) -> np.ndarray:
    """Take each unit's values in the group it matters most to, so that what one rare domain needs is not outvoted."""
    most = values.mean(axis=2).argmax(axis=0)
    return values[most, np.arange(len(most))]


Over = Callable[[np.ndarray], np.ndarray]
"""How groups are combined: float64 [groups, units, values of a unit] -> [units, values of a unit]."""

OVERS: dict[str, Over] = {"mean": mean, "worst": worst}


def over_of(name: str) -> Over:
    """Find a way to combine groups by name.

    Raises:
        EvopError: unknown name.
    """
    refuse_unknown("--importance-over", name, OVERS)
    return OVERS[name]
