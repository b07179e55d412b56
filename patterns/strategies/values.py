"""Measured values as a strategy reckons with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def finite(values: Sequence[float]) -> np.ndarray:
    """Values in which failed measurements rank last, by as much as the others span, for those who compute with them.

    Returns:
        float [values], all finite.
    """
    found = np.asarray(values, dtype=float)
    good = found[np.isfinite(found)]
    if not good.size:
        return np.zeros(len(found))
    span = float(np.ptp(good)) or 1.0
    return np.where(np.isfinite(found), found, good.max() + span)
