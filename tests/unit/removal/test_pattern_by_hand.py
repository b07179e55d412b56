"""Pattern files: what they say of thinned parts, and what a hand may not write into them."""

import dataclasses
import json

import numpy as np
import pytest
from by_hand import write_by_hand
from tiny import ranking, write_pattern

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.removal.pattern_file import PatternFile
from evop.removal.space import GRAINS, THINNED, pattern_space
from patterns import Budget, Pattern


@pytest.fixture
def checkpoint(tiny_folder):
    return Checkpoint.find(tiny_folder("llama"))


@pytest.fixture
def file(checkpoint, tmp_path):
    """A pattern of single parts: whole ones, thinned ones and some that are gone."""
    space = pattern_space(checkpoint, "mixed")
    pattern = Pattern(tuple(i % 3 for i in range(len(space.parts))))
    return write_pattern(tmp_path / "pattern.json", space, pattern, checkpoint.folder)


def edited(path, **changes):
    """The file with some fields changed by hand; of dictionaries, some entries."""
    content = json.loads(path.read_text())
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    write_by_hand(path, content)
    return PatternFile.find(path)


@pytest.mark.parametrize(("grain", "deploy"), [(grain, deploy) for grain in GRAINS for deploy in ("any", "stock")])
def test_what_is_written_is_read_as_the_same_pattern_and_the_same_cut(checkpoint, tmp_path, grain, deploy):
    space = pattern_space(checkpoint, grain, deploy)
    rng = np.random.default_rng(0)
    for _ in range(5):
        pattern = Budget(space, 0.1 if grain == "head" else 0.3).draw(rng)
        path = write_pattern(tmp_path / "p.json", space, pattern, checkpoint.folder)
        found = PatternFile.find(path)
        assert found.on(checkpoint) == (space, pattern)
        assert found.cut() == ranking(space).cut_of(space, pattern)
        assert bool(found.kept) == bool(space.thinned(pattern))
        assert (grain in THINNED) or not found.kept


def test_a_person_reads_how_many_units_stay(file):
    found = PatternFile.find(file)
    gone = [f"layers.{i}.attn" for i in (1,)]
    assert found.removed == gone
    assert "layers.0.mlp (keeps 44)" in found.words
    assert found.kept["layers.0.mlp"].count("-") > 3


def test_width_steps_are_part_of_the_file(checkpoint, tmp_path):
    space = pattern_space(checkpoint, "channel", width_step=16)
    path = write_pattern(tmp_path / "p.json", space, Pattern((1, 0, 2, 3)), checkpoint.folder)
    with pytest.raises(EvopError, match=r"keeps 32 units of layers\.0\.mlp, which .* channel parts cannot do"):
        edited(path, kept={"layers.2.mlp": "0-7"}, width_step=7).on(checkpoint)
    write_pattern(tmp_path / "p.json", space, Pattern((1, 0, 2, 3)), checkpoint.folder)
    found = edited(path, width_step=16)
    assert found.on(checkpoint)[1] == Pattern((1, 0, 2, 3))


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ("0-42", "keeps 43 units of layers.0.mlp, which this model's mixed parts cannot do"),
        ("0-42,48", "keeps 44 units of layers.0.mlp, which this model's mixed parts cannot do"),
        ("4-47,99", "keeps 45 units of layers.0.mlp"),
        ("0-47", "keeps 48 units of layers.0.mlp"),
        ("", "expected ascending numbers and ranges"),
        ("0-20,15-40", "do not ascend"),
        ("all", "expected ascending numbers and ranges"),
    ],
)
def test_units_that_a_ladder_has_not_are_refused(checkpoint, file, units, words):
    with pytest.raises(EvopError, match=words.replace(".", r"\.")):
        edited(file, kept={"layers.0.mlp": units}).on(checkpoint)


def test_other_units_of_the_same_number_are_another_pattern_of_the_same_size(checkpoint, file):
    found = edited(file, kept={"layers.0.mlp": "0-43"})
    before = PatternFile.find(file)
    assert found.on(checkpoint) == before.on(checkpoint)
    assert found.cut().kept["mlp", 0] == tuple(range(44))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kept": {"layers.9.mlp": "0-43"}}, r"keeps 44 units of layers\.9\.mlp"),
        ({"kept": {"layers.3": "0-43"}}, r"keeps 44 units of layers\.3,"),
        ({"removed": ["layers.9.attn"]}, r"names 'layers\.9\.attn'"),
        ({"removed": ["layers.1.attn", "layers.0.mlp"]}, r"layers\.0\.mlp both removed and kept"),
        ({"removed": []}, "the pattern says it removes"),
        ({"kept": {"layers.0.mlp": "0-39"}}, "the pattern says it removes"),
        ({"grain": "subblock"}, "which this model's subblock parts cannot do"),
        ({"compensate": "bias", "corrections": "0" * 64}, "the pattern says it removes"),
        ({"deploy": "stock"}, "which --deploy stock does not allow"),
        ({"deploy": "cloud"}, "deploy 'cloud' is unknown"),
        ({"protected": ["layers.0.mlp"]}, "which --deploy any does not allow"),
        ({"schema": "evop.pattern/1"}, "opens with schema 'evop.pattern/1', expected 'evop.pattern/6'"),
        ({"units": {}}, "units: Extra inputs"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(checkpoint, file, changes, words):
    from patterns import PatternError

    content = json.loads(file.read_text())
    for key, value in changes.items():
        merged = {**content.get(key, {}), **value} if isinstance(value, dict) and key in content else value
        content[key] = merged
    write_by_hand(file, content)
    with pytest.raises((EvopError, PatternError), match=words):
        PatternFile.find(file).on(checkpoint)


def test_a_pattern_for_stock_keeps_one_width_and_one_count(checkpoint, tmp_path):
    space = pattern_space(checkpoint, "mixed", "stock")
    alike = Pattern(tuple({"attn": 1, "mlp": 5}[part.kind] for part in space.parts))
    path = write_pattern(tmp_path / "p.json", space, alike, checkpoint.folder)
    assert PatternFile.find(path).on(checkpoint)[1] == alike
    odd = alike.with_level(1, 4)
    path = write_pattern(tmp_path / "p.json", dataclasses.replace(space, deploy="any"), odd, checkpoint.folder)
    assert PatternFile.find(path).on(checkpoint)
    with pytest.raises(EvopError, match=r"keeps 28.* which --deploy stock does not allow"):
        edited(path, deploy="stock").on(checkpoint)


def test_corrections_that_are_missing_are_asked_for(checkpoint, file):
    found = edited(file, corrections="0" * 64)
    with pytest.raises(EvopError, match=r"has corrections, but .* is missing"):
        found.cut(file.with_name("corrections.safetensors"))
