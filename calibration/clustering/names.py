"""Names of clusters, in words that a person can tell them apart by."""

import re
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from calibration.clustering.cluster import Clustering
from calibration.clustering.stop_words import stop_words_of

TERMS = 3
"""Terms of a name at most."""
# Words and identifiers; no numbers, no "ll" of "you'll", no "don" of "don't".
_TERM = re.compile(r"(?<!\w['\u2019])\b[^\W\d_]\w+\b(?!['\u2019]t\b)")
_LONGEST = 24
"""Characters of a term at most; a longer one is abbreviated."""


def names_of(clustering: Clustering, texts: Sequence[str]) -> list[str]:
    """Name each cluster by telling terms, or as it came: by the largest merged into it and the count of the others.

    Args:
        clustering: clusters of the passages of one domain.
        texts: plain text of each of these passages.
    """
    if not clustering.given:
        return cluster_names(texts, clustering.labels)
    names = []
    for cluster in range(clustering.k):
        sizes = Counter(clustering.given[int(i)] for i in np.flatnonzero(clustering.labels == cluster))
        (largest, _), *others = sizes.most_common()
        names.append(f"{largest} and {len(others)} more" if others else largest)
    return names


def cluster_names(texts: Sequence[str], labels: np.ndarray) -> list[str]:
    """Name each cluster by the three terms that tell it best from the others.

    A term's weight in a cluster is the share of the cluster's passages that hold it, times the logarithm of that
    share over the mean share of all clusters (class-based TF-IDF on presence, so that one passage that repeats a
    word does not name a cluster). Stop words of the texts' own language, numbers, two-letter words and variants of a
    term already chosen are left out.

    Args:
        texts: plain text of each passage of one domain.
        labels: int ``[n]``, the cluster of each passage, from 0 up.

    Returns:
        One name per cluster, such as ``tax, revenue, fiscal``; "" where no term tells it from the others.

    Source: Grootendorst 2022, "BERTopic: neural topic modeling with a class-based TF-IDF procedure".
    """
    stop_words = stop_words_of(texts)
    clusters = int(labels.max()) + 1 if len(labels) else 0
    counts: list[Counter[str]] = [Counter() for _ in range(clusters)]
    for text, label in zip(texts, labels, strict=True):
        counts[int(label)].update(set(_TERM.findall(text.casefold())))
    sizes = np.bincount(labels, minlength=clusters)
    shares = [
        {term: n / size for term, n in count.items() if n >= min(2, size) and _tells(term, stop_words)}
        for count, size in zip(counts, sizes, strict=True)
    ]
    return [_name(shares, cluster) for cluster in range(clusters)]


def _name(shares: Sequence[dict[str, float]], cluster: int) -> str:
    """Join the most telling terms of one cluster."""
    weights = {}
    for term, share in shares[cluster].items():
        mean = sum(other.get(term, 0.0) for other in shares) / len(shares)
        weights[term] = share * (np.log(share / mean) if len(shares) > 1 else 1.0)
    chosen: list[str] = []
    for term in sorted(weights, key=lambda t: (-weights[t], t)):
        if not any(_variants(term, other) for other in chosen):
            chosen.append(term)
        if len(chosen) == TERMS:
            break
    return ", ".join(term if len(term) <= _LONGEST else term[: _LONGEST - 1] + "…" for term in chosen)


def _tells(term: str, stop_words: Collection[str]) -> bool:
    """Check that a term is no stop word, and longer than two letters if it is written in ASCII ones."""
    return (len(term) > 2 or not term.isascii()) and term not in stop_words


def _variants(a: str, b: str) -> bool:
    """Check whether one term begins with the other, but for its last two letters: ``tax`` and ``taxes``."""
    short, long = sorted((a, b), key=len)
    stem = short[: max(3, len(short) - 2)]
    return len(long) - len(short) <= 3 and long.startswith(stem)
