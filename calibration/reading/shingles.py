"""Word shingles: what two texts are compared by, hashed."""

from collections.abc import Sequence

import numpy as np

from calibration.passage import normalised, words
from calibration.seeded import digest

SHINGLE = 5
"""Words of a shingle."""


def shingle_sets(texts: Sequence[str]) -> list[np.ndarray]:
    """Hash the distinct 5-word shingles of each text to 64 bits; a text under five words is one shingle.

    Returns:
        One sorted uint64 array per text, never empty.
    """
    vocabulary: dict[str, int] = {}
    return [_hashes(text, vocabulary) for text in texts]


def _hashes(text: str, vocabulary: dict[str, int]) -> np.ndarray:
    """Hash the distinct shingles of one text; words are numbered by ``vocabulary``, which grows."""
    tokens = words(text)
    if len(tokens) < SHINGLE:
        whole = " ".join(tokens) or normalised(text)
        return np.array([int(digest("short", whole)[:16], 16)], dtype=np.uint64)
    ids = np.array([vocabulary.setdefault(token, len(vocabulary) + 1) for token in tokens], dtype=np.uint64)
    windows = len(ids) - SHINGLE + 1
    mixed = np.zeros(windows, dtype=np.uint64)
    for offset in range(SHINGLE):
        mixed = _mix(mixed ^ ids[offset : offset + windows])
    return np.unique(mixed)


def _mix(x: np.ndarray) -> np.ndarray:
    """Mix 64-bit integers by a bijection that spreads every bit (splitmix64's finaliser)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
