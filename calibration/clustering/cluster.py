"""Passages of a domain into clusters: k-means, the choice of k, assignment of new text."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from calibration.errors import CalibrationError
from calibration.seeded import generator, one_thread

AUTO_CLUSTERS = range(3, 9)
"""Numbers of clusters that are tried."""
AUTO_SAMPLE = 2000
"""Passages that the silhouette is computed on, at most."""


@dataclass(frozen=True, eq=False)
class Clustering:
    """The clusters of one domain.

    Attributes:
        labels: int64 ``[n]``, the cluster of each passage, 0 the largest.
        centroids: float32 ``[k, dim]``, mean vector of each cluster.
        silhouette: mean cosine silhouette by number of clusters tried; empty if the number was given.
        given: name of the cluster that each passage came with; empty where k-means made the clusters.
    """

    labels: np.ndarray
    centroids: np.ndarray
    silhouette: dict[int, float] = field(default_factory=dict)
    given: tuple[str, ...] = ()

    @property
    def chosen_by(self) -> str:
        """How the number of clusters was chosen, before any were merged."""
        if self.given:
            return "given by a column"
        if not self.silhouette:
            return "given, or too few passages to choose"
        best = max(self.silhouette.values())
        tried = f"{min(self.silhouette)} to {max(self.silhouette)}"
        return f"best mean cosine silhouette of {tried}, {best:.3f}, on at most {AUTO_SAMPLE} passages"

    @property
    def k(self) -> int:
        """Number of clusters."""
        return len(self.centroids)

    def assign(self, vectors: np.ndarray) -> np.ndarray:
        """Assign new vectors to the clusters of their nearest centroids; int64 ``[n]``."""
        return np.argmin(_squared_distances(vectors, self.centroids), axis=1)

    def nearest(self, cluster: int) -> int:
        """Find the cluster whose centroid is nearest to that of another."""
        distances = _squared_distances(self.centroids[cluster : cluster + 1], self.centroids)[0]
        distances[cluster] = np.inf
        return int(np.argmin(distances))


def cluster_domain(domain: str, vectors: np.ndarray, clusters: int | str, seed: int) -> Clustering:
    """Cluster one domain by k-means, into a given number of clusters or into 3 to 8, by the best cosine silhouette.

    The silhouette is computed on at most 2,000 passages.

    Args:
        domain: the domain's name, for messages.
        vectors: float32 ``[n, dim]``, rows of unit length.
        clusters: number of clusters, or "auto" for the one of the best silhouette.
        seed: seed of k-means and of the silhouette's sample.

    Raises:
        CalibrationError: fewer (distinct) passages than clusters.

    Source: Rousseeuw 1987, "Silhouettes".
    """
    distinct = len(np.unique(vectors, axis=0))
    with one_thread():
        if clusters != "auto":
            if distinct < int(clusters):
                raise CalibrationError(
                    f"domain {domain}: fewer passages ({distinct} distinct) than clusters ({clusters}); "
                    f"ask for fewer clusters or give it more text"
                )
            return summarised(vectors, _kmeans(vectors, int(clusters), seed))
        tried = {k: _kmeans(vectors, k, seed) for k in AUTO_CLUSTERS if k < distinct}
        scores = _silhouettes(vectors, tried, generator("silhouette", seed, domain))
    if not scores:  # too few passages to tell clusters apart
        return summarised(vectors, np.zeros(len(vectors), dtype=np.int64))
    best = max(scores, key=lambda k: (scores[k], -k))
    return summarised(vectors, tried[best], scores)


def given_clusters(vectors: np.ndarray, names: Sequence[str]) -> Clustering:
    """Make the clusters that items came with, by the name of each item's cluster."""
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    clustering = summarised(vectors, np.array([number[name] for name in names], dtype=np.int64))
    return replace(clustering, given=tuple(names))


def merged(vectors: np.ndarray, clustering: Clustering, cluster: int, into: int) -> Clustering:
    """Merge one cluster into another and number the clusters anew."""
    labels = np.where(clustering.labels == cluster, into, clustering.labels)
    return replace(summarised(vectors, labels, clustering.silhouette), given=clustering.given)


def summarised(vectors: np.ndarray, labels: np.ndarray, silhouette: dict[int, float] | None = None) -> Clustering:
    """Make a clustering of labels: numbered by size, the largest 0 (ties by first passage), with mean vectors."""
    used, first, counts = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    number = {int(used[old]): new for new, old in enumerate(order)}
    renumbered = np.array([number[int(label)] for label in labels], dtype=np.int64)
    means = [vectors[renumbered == c].mean(axis=0, dtype=np.float64) for c in range(len(used))]
    return Clustering(renumbered, np.stack(means).astype(np.float32), dict(silhouette or {}))


def _kmeans(vectors: np.ndarray, k: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    return KMeans(n_clusters=k, n_init=10, random_state=seed).fit(vectors).labels_


def _silhouettes(vectors: np.ndarray, tried: dict[int, np.ndarray], rng: np.random.Generator) -> dict[int, float]:
    """Score each number of clusters by its mean cosine silhouette; those that leave a sample one cluster have none."""
    from sklearn.metrics import silhouette_score

    chosen: np.ndarray | Sequence[int] = np.arange(len(vectors))
    if len(vectors) > AUTO_SAMPLE:
        chosen = np.sort(rng.choice(len(vectors), AUTO_SAMPLE, replace=False))
    scores = {}
    for k, labels in tried.items():
        sample = labels[chosen]
        if 2 <= len(np.unique(sample)) < len(sample):
            scores[k] = round(float(silhouette_score(vectors[chosen], sample, metric="cosine")), 6)
    return scores


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute squared Euclidean distances, float64 ``[len(a), len(b)]``."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)[None]
