"""Near-duplicate passages: exact Jaccard similarity of word shingles, made fast by rare shingles."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from calibration.passage import normalised, words
from calibration.seeded import digest

SHINGLE = 5  # words
NUMERATOR, DENOMINATOR = 4, 5  # similarity of at least 4/5, in whole numbers so that equality is exact


def near_duplicates(texts: Sequence[str], kin: Sequence[str | None] | None = None) -> list[int]:
    """Find the texts that repeat an earlier one, going through them in order; the first of its like stays.

    Two texts are near-duplicates if the Jaccard similarity of their sets of 5-word shingles is at least 0.8; a
    text with fewer than five words is one shingle. No pair is missed: of two such sets, ordered alike with the
    rarest shingle first, the first ``n - ceil(0.8 n) + 1`` share at least one, so only those are looked up.

    Args:
        texts: the texts, in the order in which they take precedence.
        kin: what each text belongs to; two texts of the same may be alike, such as questions on one document, which
            stay together. None belongs to nothing.

    Returns:
        Indices of the texts to drop, ascending. No two of the texts left are near-duplicates, unless of the same kin.

    Source: Chaudhuri, Ganti, Kaushik 2006, "A primitive operator for similarity joins" (prefix filter); Bayardo,
        Ma, Srikant 2007, "Scaling up all pairs similarity search".
    """
    sets, prefixes = _shingles(texts)
    index: defaultdict[int, list[int]] = defaultdict(list)
    dropped = []
    for i, prefix in enumerate(prefixes):
        candidates = {j for shingle in prefix for j in index.get(shingle, ())}
        if kin is not None and kin[i] is not None:
            candidates = {j for j in candidates if kin[j] != kin[i]}
        if any(_alike(sets[i], sets[j]) for j in candidates):
            dropped.append(i)
            continue
        for shingle in prefix:
            index[shingle].append(i)
    return dropped


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Check that the Jaccard similarity of two sorted arrays of distinct uint64 is at least 4/5."""
    if min(len(a), len(b)) * DENOMINATOR < max(len(a), len(b)) * NUMERATOR:
        return False
    union = np.union1d(a, b).size
    return (len(a) + len(b) - union) * DENOMINATOR >= union * NUMERATOR


def _shingles(texts: Sequence[str]) -> tuple[list[np.ndarray], list[list[int]]]:
    """Hash each text's shingles (sorted uint64), and pick of its rarest ones those that another text has too."""
    vocabulary: dict[str, int] = {}
    sets = [_hashes(text, vocabulary) for text in texts]
    if not sets:
        return [], []
    every, inverse, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    frequencies = np.split(counts[inverse], np.cumsum([len(s) for s in sets])[:-1])
    prefixes = []
    for hashes, frequency in zip(sets, frequencies, strict=True):
        length = len(hashes) - -(-len(hashes) * NUMERATOR // DENOMINATOR) + 1
        rarest = np.lexsort((hashes, frequency))[:length]
        prefixes.append(hashes[rarest[frequency[rarest] > 1]].tolist())
    assert len(every) or not any(len(s) for s in sets)
    return sets, prefixes


def _hashes(text: str, vocabulary: dict[str, int]) -> np.ndarray:
    """Hash the distinct shingles of a text to 64 bits, sorted; never empty."""
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
