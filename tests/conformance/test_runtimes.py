"""The table of docs/exports.md, cell by cell: what runs is run there, what cannot is refused with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from decilm_reader import read_decilm, same_as
from exported import assert_same, read_by
from runtimes import CELLS, HEALED, KINDS, LAYERS, MIXED, RUNS, SHOULD, architecture, table
from tiny import MODEL_TYPES, TINY, load, logits, random_ids
from tolerance import within

import evop
from evop.errors import EvopError
from evop.export.gguf.architecture import ARCHITECTURES
from evop.export.parity import TOLERANCE
from evop.files.names import CONFIG
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.recipes.export import ExportRecipe
from evop.removal.masking import masked
from evop.removal.opened import open_pattern
from evop.stages.export import export

EXPORTS = Path(evop.__file__).parent.parent / "docs" / "exports.md"
HELD = [cell[:3] for cell in CELLS if cell[3] in (RUNS, SHOULD)]
REFUSED = [cell for cell in CELLS if cell[3] not in (RUNS, SHOULD)]
OFTEN = (LAYERS, MIXED)
"""Kinds that every model of llama.cpp is run with each time; the others of other models than a Llama can be slow."""


def cell_of(kind, way, model):
    """A test of one cell that runs."""
    slow = way == "gguf" and model != "llama" and kind not in OFTEN
    marks = [pytest.mark.slow] if slow else []
    return pytest.param(kind, way, model, marks=marks, id=f"{kind.replace('`', '')}-{way}-{model}")


def wanted_of(model, pattern, ids):
    """What transformers computes of the pruned model: a checkpoint's logits, or the dense model's, masked."""
    if (pattern / CONFIG).is_file():
        return logits(load(pattern), ids)
    dense, checkpoint = load(model), Checkpoint.find(model)
    with masked(dense, family_of(checkpoint.model_type), open_pattern(pattern, checkpoint).cut):
        return logits(dense, ids)


@pytest.mark.parametrize(("kind", "way", "name"), [cell_of(*cell) for cell in HELD])
def test_what_runs_is_run(kind, way, name, tiny_folder, tmp_path):
    if way == "gguf":
        pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install 'evop[gguf]'")
    model, out = tiny_folder(name), tmp_path / "out"
    pattern = KINDS[kind](model, tmp_path)
    if (kind, way) == (HEALED, "hf"):  # what healing writes is a folder for transformers already
        with pytest.raises(EvopError, match="a healed checkpoint is pruned already"):
            export(model, out, pattern, format=way)
        out = pattern
    else:
        written = export(model, out, pattern, format=way, check=False)
    ids = random_ids()
    if way == "gguf":
        assert written.architecture == architecture(kind, name)
        source, place = (pattern, None) if kind == HEALED else (model, pattern)
        assert_same(source, place, out, read_by(name))
    elif way == "decilm":
        assert same_as(read_decilm(out), wanted_of(model, pattern, ids), ids) <= within(TOLERANCE)
    elif way != "mergekit":
        assert same_as(load(out), wanted_of(model, pattern, ids), ids) <= within(TOLERANCE)


@pytest.mark.parametrize(
    ("kind", "way", "name", "verdict"),
    [pytest.param(*cell, id=f"{cell[0].replace('`', '')}-{cell[1]}-{cell[2]}") for cell in REFUSED],
)
def test_what_cannot_is_refused_with_its_reason(kind, way, name, verdict, tiny_folder, tmp_path):
    """By the format, or before: some models cannot lose such a thing at all."""
    model, out = tiny_folder(name), tmp_path / "there" / "out"
    out.parent.mkdir()
    with pytest.raises(EvopError, match=verdict.error) as caught:
        export(model, out, KINDS[kind](model, tmp_path), format=way, check=False)
    assert "\n" not in str(caught.value)
    assert not list(out.parent.iterdir())


@pytest.mark.parametrize("name", [name for name in TINY if TINY[name][0] not in ARCHITECTURES])
def test_other_architectures_are_refused(name, tiny_folder, tmp_path):
    """Of what the table does not name, the sentence below it says that it is refused."""
    for way, words in (("gguf", "cannot be written yet"), ("decilm", "it holds Llamas")):
        with pytest.raises(EvopError, match=words):
            export(tiny_folder(name), tmp_path / "out", format=way, check=False)


def test_the_document_shows_this_table():
    text = EXPORTS.read_text()
    assert "\n".join(table()) in text, "python tests/runtimes.py prints the table"
    assert {way for _, way, *_ in CELLS} == set(ExportRecipe.model_fields["format"].annotation.__args__)
    *most, last = (f"`{name}`" for name in ARCHITECTURES)
    assert f"{', '.join(most)} and {last}" in " ".join(text.split())
    assert {TINY[model][0] for _, way, model, _ in CELLS if way == "gguf"} == set(ARCHITECTURES) & set(MODEL_TYPES)
