"""The interval of a bootstrap: how often is drawn, and which share of the draws it holds."""

from __future__ import annotations

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


def interval(draws: np.ndarray) -> np.ndarray:
    """Take the percentile interval over the first axis.

    Args:
        draws: float64 [resamples, …].

    Returns:
        Its lower and its upper end, float64 [2, …]; NaN where a draw is NaN.
    """
    tail = (1 - LEVEL) / 2
    return np.quantile(draws, [tail, 1 - tail], axis=0)
