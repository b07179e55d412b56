"""Positions of passages on the map of their domain."""

import numpy as np


def map_positions(vectors: np.ndarray) -> np.ndarray:
    """Project vectors of one domain onto the plane in which they spread most (principal components).

    Args:
        vectors: float32 ``[n, dim]``.

    Returns:
        float32 ``[n, 2]``, scaled to at most 1 in size; the sign of an axis is fixed by its largest coordinate.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :2]
    if axes.shape[1] < 2:
        axes = np.hstack([axes, np.zeros((len(axes), 1))])
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    flat = centred @ axes
    return (flat / max(float(np.abs(flat).max()), 1e-12)).astype(np.float32)
