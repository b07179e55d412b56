"""How many clusters: those that come out alike from every half of the text, and of these the best silhouette."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from calibration.seeded import generator

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

MOST_CLUSTERS = 8
"""Clusters that are tried at most."""
STABLE = 0.6
"""Agreement of halves (adjusted Rand index) from which on clusters are said to be there."""
SPLITS_IN_HALVES = 8
"""Times that the passages are parted into halves."""
SAMPLE = 2000
"""Passages that stability and silhouette are computed on, at most."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A number of clusters, and why.

    Attributes:
        labels: int64 ``[n]``, the cluster of each passage.
        why: why this number, on one line.
        silhouette: mean cosine silhouette by number of clusters tried.
        stability: mean agreement of halves by number of clusters tried.
    """

    labels: np.ndarray
    why: str
    silhouette: Mapping[int, float] = field(default_factory=dict)
    stability: Mapping[int, float] = field(default_factory=dict)


def choose_clusters(domain: str, vectors: np.ndarray, most: int, seed: int) -> Choice:
    """Choose a number of clusters: of those that are stable the best mean cosine silhouette; one where none is.

    Args:
        domain: the domain's name, of which the random choices depend.
        vectors: float32 ``[n, dim]``, rows of unit length.
        most: clusters at most, from how much text a group needs.
        seed: seed of k-means, of the halves and of the sample.

    Source: Lange et al. 2004, "Stability-based validation of clustering solutions" (both halves label all passages
        here); Hubert and Arabie 1985, "Comparing partitions"; Rousseeuw 1987, "Silhouettes".
    """
    one = np.zeros(len(vectors), dtype=np.int64)
    if most < 2:
        return Choice(one, "one, as the search sample is too small for two groups that can be judged")
    tried = range(2, min(most, MOST_CLUSTERS, len(np.unique(vectors, axis=0)) - 1) + 1)
    if not tried:
        return Choice(one, "one, as there are too few passages to tell clusters apart")
    sample = vectors
    if len(vectors) > SAMPLE:
        chosen = generator("silhouette", seed, domain).choice(len(vectors), SAMPLE, replace=False)
        sample = vectors[np.sort(chosen)]
    models = {k: kmeans(vectors, k, seed) for k in tried}
    silhouette = _silhouettes(sample, {k: model.predict(sample) for k, model in models.items()})
    stability = {k: stability_of(sample, k, seed, domain) for k in tried}
    k, why = _best(silhouette, stability, most)
    return Choice(models[k].labels_ if k > 1 else one, why, silhouette, stability)


def _best(silhouette: Mapping[int, float], stability: Mapping[int, float], most: int) -> tuple[int, str]:
    """Choose a number of clusters by the scores of those tried, and say why."""
    tried, top = f"{min(stability)} to {max(stability)}", max(stability)
    stable = [k for k in silhouette if stability[k] >= STABLE]
    if not stable:
        near = max(stability, key=lambda k: (stability[k], -k))
        return 1, f"one, as no number from {tried} is stable (halves agree by {stability[near]:.2f} at {near} at best)"
    best = max(stable, key=lambda k: (silhouette[k], -k))
    why = f"best silhouette ({silhouette[best]:.3f}) of the stable from {tried}; halves agree by {stability[best]:.2f}"
    if best < top:
        return best, why
    limit = (
        "that the search sample has text for" if top == most < MOST_CLUSTERS else "that is tried, so more may be there"
    )
    return best, f"{why}; the largest number {limit}"


def stability_of(vectors: np.ndarray, k: int, seed: int, domain: str) -> float:
    """Measure how alike the clusters are that random halves of the passages give: mean adjusted Rand index.

    1 where both halves part all passages alike, about 0 where they do so by chance.

    Args:
        vectors: float32 ``[n, dim]``.
        k: number of clusters.
        seed: seed of the halves and of k-means.
        domain: the domain's name, of which the halves depend.
    """
    from sklearn.metrics import adjusted_rand_score

    scores = []
    for turn in range(SPLITS_IN_HALVES):
        order = generator("halves", seed, domain, turn).permutation(len(vectors))
        halves = (order[: len(order) // 2], order[len(order) // 2 :])
        if min(len(np.unique(vectors[half], axis=0)) for half in halves) < k:
            return 0.0
        one, other = (kmeans(vectors[half], k, seed + turn, starts=3).predict(vectors) for half in halves)
        scores.append(adjusted_rand_score(one, other))
    return round(float(np.mean(scores)), 6)


def kmeans(vectors: np.ndarray, k: int, seed: int, starts: int = 10) -> "KMeans":
    """Fit k-means, the best of some starts."""
    from sklearn.cluster import KMeans

    return KMeans(n_clusters=k, n_init=starts, random_state=seed % 2**32).fit(vectors)


def _silhouettes(sample: np.ndarray, labels: Mapping[int, Sequence[int]]) -> dict[int, float]:
    """Score each number of clusters by its mean cosine silhouette; those that leave a sample one cluster have none."""
    from sklearn.metrics import silhouette_score

    scores = {}
    for k, of_sample in labels.items():
        if 2 <= len(np.unique(of_sample)) < len(sample):
            scores[k] = round(float(silhouette_score(sample, of_sample, metric="cosine")), 6)
    return scores
