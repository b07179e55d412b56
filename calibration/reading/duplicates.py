"""Near-duplicate passages: exact Jaccard similarity of word shingles, made fast by rare shingles."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

NUMERATOR, DENOMINATOR = 4, 5  # similarity of at least 4/5, in whole numbers so that equality is exact


def near_duplicates(sets: Sequence[np.ndarray], kin: Sequence[str | None] | None = None) -> list[int]:
    """Find the texts that repeat an earlier one, going through them in order; the first of its like stays.

    Two texts are near-duplicates if the Jaccard similarity of their sets of 5-word shingles is at least 0.8. No pair
    is missed: of two such sets, ordered alike with the rarest shingle first, the first ``n - ceil(0.8 n) + 1`` share
    at least one, so only those are looked up.

    Args:
        sets: shingles of the texts, sorted uint64, in the order in which they take precedence.
        kin: what each text belongs to; two texts of the same may be alike, such as questions on one document, which
            stay together. None belongs to nothing.

    Returns:
        Indices of the texts to drop, ascending. No two of the texts left are near-duplicates, unless of the same kin.

    Source: Chaudhuri, Ganti, Kaushik 2006, "A primitive operator for similarity joins" (prefix filter); Bayardo,
        Ma, Srikant 2007, "Scaling up all pairs similarity search".
    """
    prefixes = _prefixes(sets)
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


def _prefixes(sets: Sequence[np.ndarray]) -> list[list[int]]:
    """Pick of each text's rarest shingles those that another text has too."""
    if not sets:
        return []
    _, inverse, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    frequencies = np.split(counts[inverse], np.cumsum([len(s) for s in sets])[:-1])
    prefixes = []
    for hashes, frequency in zip(sets, frequencies, strict=True):
        length = len(hashes) - -(-len(hashes) * NUMERATOR // DENOMINATOR) + 1
        rarest = np.lexsort((hashes, frequency))[:length]
        prefixes.append(hashes[rarest[frequency[rarest] > 1]].tolist())
    return prefixes
