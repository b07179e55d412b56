"""Vectors into clusters: their number, their order, and merging."""

import numpy as np
import pytest

from calibration import CalibrationError
from calibration.clustering.cluster import cluster_domain, merged, summarised


def blobs(k, n, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.eye(k, 8)
    vectors = np.concatenate([centre + rng.normal(0, 0.05, (n, 8)) for centre in centres])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_auto_finds_the_number_of_blobs():
    clustering = cluster_domain("d", blobs(5, 30), "auto", 0)
    assert clustering.k == 5
    assert set(clustering.silhouette) == set(range(3, 9))
    assert np.bincount(clustering.labels).tolist() == [30] * 5


def test_fewer_passages_than_clusters():
    with pytest.raises(CalibrationError, match="domain d: fewer passages \\(4 distinct\\) than clusters \\(5\\)"):
        cluster_domain("d", np.eye(4, dtype=np.float32), 5, 0)
    with pytest.raises(CalibrationError, match="1 distinct"):
        cluster_domain("d", np.ones((9, 4), dtype=np.float32), 2, 0)


def test_auto_on_hardly_any_passages_is_one_cluster():
    assert cluster_domain("d", np.eye(3, dtype=np.float32), "auto", 0).k == 1


def test_clusters_are_numbered_by_size_and_assign_agrees():
    vectors = blobs(3, 20)[:50]
    clustering = cluster_domain("d", vectors, 3, 0)
    assert np.bincount(clustering.labels).tolist() == [20, 20, 10]
    assert np.array_equal(clustering.assign(vectors), clustering.labels)


def test_merging_joins_and_renumbers():
    vectors = blobs(3, 4)
    clustering = summarised(vectors, np.repeat([0, 1, 2], 4))
    joined = merged(vectors, clustering, 0, clustering.nearest(0))
    assert joined.k == 2
    assert np.bincount(joined.labels).tolist() == [8, 4]
    np.testing.assert_allclose(joined.centroids[0], vectors[joined.labels == 0].mean(0), atol=1e-6)
