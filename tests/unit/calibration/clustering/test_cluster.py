"""Vectors into clusters: their number, their order, and merging."""

import numpy as np
import pytest

from calibration import CalibrationError
from calibration.clustering.cluster import cluster_domain, merged, summarised
from calibration.clustering.stability import STABLE, stability_of


def blobs(k, n, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.eye(k, 8)
    vectors = np.concatenate([centre + rng.normal(0, 0.05, (n, 8)) for centre in centres])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_auto_finds_the_number_of_blobs():
    clustering = cluster_domain("d", blobs(5, 30), "auto", 0)
    assert clustering.k == 5
    assert set(clustering.silhouette) == set(clustering.stability) == set(range(2, 9))
    assert clustering.stability[5] > 0.95
    assert clustering.chosen_by.startswith("best silhouette (0.9")
    assert "largest" not in clustering.chosen_by
    assert np.bincount(clustering.labels).tolist() == [30] * 5


def test_without_structure_it_is_one_cluster_and_said():
    noise = np.random.default_rng(0).normal(size=(120, 16)).astype(np.float32)
    clustering = cluster_domain("d", noise / np.linalg.norm(noise, axis=1, keepdims=True), "auto", 0)
    assert clustering.k == 1
    assert not clustering.labels.any()
    assert max(clustering.stability.values()) < STABLE
    assert "one, as no number from 2 to 8 is stable (halves agree by 0." in clustering.chosen_by


def test_the_edge_of_what_is_tried_is_said():
    few = cluster_domain("d", blobs(5, 30), "auto", 0, most=4)
    assert few.k == 4 or "largest" not in few.chosen_by
    many = cluster_domain("d", blobs(8, 30), "auto", 0)
    assert many.k == 8
    assert many.chosen_by.endswith("; the largest number that is tried, so more may be there")
    text = cluster_domain("d", blobs(3, 30), "auto", 0, most=3)
    assert text.chosen_by.endswith("; the largest number that the search sample has text for")
    assert cluster_domain("d", blobs(3, 30), "auto", 0, most=1).chosen_by.startswith("one, as the search sample")


def test_stability_tells_blobs_from_a_wrong_number():
    vectors = blobs(3, 40)
    assert stability_of(vectors, 3, 0, "d") == pytest.approx(1)
    assert stability_of(vectors, 6, 0, "d") < 0.9
    assert stability_of(vectors[:6], 4, 0, "d") == 0  # no half holds four clusters


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
