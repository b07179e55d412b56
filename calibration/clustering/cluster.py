"""Passages of a domain into clusters: k-means, the choice of k, assignment of new text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from calibration.clustering.stability import MOST_CLUSTERS, choose_clusters, kmeans
from calibration.errors import CalibrationError
from calibration.seeded import one_thread


@dataclass(frozen=True, eq=False)
class Clustering:
    """The clusters of one domain.

    Attributes:
        labels: int64 ``[n]``, the cluster of each passage, 0 the largest.
        centroids: float32 ``[k, dim]``, mean vector of each cluster.
        chosen_by: how the number of clusters was chosen, before any were merged.
        silhouette: mean cosine silhouette by number of clusters tried; empty if the number was given.
        stability: agreement of halves by number of clusters tried; empty if the number was given.
        given: name of the cluster that each passage came with; empty where k-means made the clusters.
    """

    labels: np.ndarray
    centroids: np.ndarray
    chosen_by: str = "given"
    silhouette: Mapping[int, float] = field(default_factory=dict)
    stability: Mapping[int, float] = field(default_factory=dict)
    given: tuple[str, ...] = ()

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


def cluster_domain(
    domain: str, vectors: np.ndarray, clusters: int | str, seed: int, most: int = MOST_CLUSTERS
) -> Clustering:
    """Cluster one domain by k-means, into a given number of clusters or into as many as ``choose_clusters`` finds.

    Args:
        domain: the domain's name, for messages.
        vectors: float32 ``[n, dim]``, rows of unit length.
        clusters: number of clusters, or "auto".
        seed: seed of k-means and of the choice.
        most: clusters that "auto" may find, at most.

    Raises:
        CalibrationError: fewer (distinct) passages than clusters.
    """
    with one_thread():
        if clusters == "auto":
            choice = choose_clusters(domain, vectors, most, seed)
            clustering = summarised(vectors, choice.labels)
            return replace(clustering, chosen_by=choice.why, silhouette=choice.silhouette, stability=choice.stability)
        distinct = len(np.unique(vectors, axis=0))
        if distinct < int(clusters):
            raise CalibrationError(
                f"domain {domain}: fewer passages ({distinct} distinct) than clusters ({clusters}); "
                f"ask for fewer clusters or give it more text"
            )
        return summarised(vectors, kmeans(vectors, int(clusters), seed).labels_)


def given_clusters(vectors: np.ndarray, names: Sequence[str]) -> Clustering:
    """Make the clusters that items came with, by the name of each item's cluster."""
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    clustering = summarised(vectors, np.array([number[name] for name in names], dtype=np.int64))
    return replace(clustering, given=tuple(names), chosen_by="given by a column")


def merged(vectors: np.ndarray, clustering: Clustering, cluster: int, into: int) -> Clustering:
    """Merge one cluster into another and number the clusters anew."""
    labels = np.where(clustering.labels == cluster, into, clustering.labels)
    fresh = summarised(vectors, labels)
    return replace(clustering, labels=fresh.labels, centroids=fresh.centroids)


def summarised(vectors: np.ndarray, labels: np.ndarray) -> Clustering:
    """Make a clustering of labels: numbered by size, the largest 0 (ties by first passage), with mean vectors."""
    used, first, counts = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    number = {int(used[old]): new for new, old in enumerate(order)}
    renumbered = np.array([number[int(label)] for label in labels], dtype=np.int64)
    means = [vectors[renumbered == c].mean(axis=0, dtype=np.float64) for c in range(len(used))]
    return Clustering(renumbered, np.stack(means).astype(np.float32))


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute squared Euclidean distances, float64 ``[len(a), len(b)]``."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)[None]
