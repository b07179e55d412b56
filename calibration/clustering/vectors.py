"""Vectors of unit length, which is what clusters are made of."""

import numpy as np


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1, float32; a row of zeros stays."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
