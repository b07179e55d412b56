"""What a recovery that was stopped leaves behind: it is gone on with, gives way, or is refused; never mistaken."""

from __future__ import annotations

import pytest
from sets import small_set
from tiny import removing, write_pattern

from evop.errors import EvopError
from evop.export.write import Pruning
from evop.files.names import HEAL, PATTERN, REFIT
from evop.recovery.healing.folder import HealingFolder
from evop.reference import model_dir
from evop.removal.pattern_file import PatternFile
from evop.stages.prune import prune
from evop.stages.refit import refit

QUICK = {"refit": "single", "ridge": 0.1, "anchor": 0.0, "device": "cpu", "max_tokens": 64}


@pytest.fixture
def pattern(tmp_path):
    return write_pattern(tmp_path / "pattern.json", *removing(model_dir(), "layers.2", grain="layer"), model_dir())


@pytest.fixture(scope="module")
def learning():
    return small_set(train_tokens=600)


def stopped(*given, **options):
    raise KeyboardInterrupt


def test_what_a_stopped_prune_refitted_is_taken_for_nothing_else(pattern, learning, tmp_path, monkeypatch):
    other = write_pattern(tmp_path / "other.json", *removing(model_dir(), "layers.4", grain="layer"), model_dir())
    with monkeypatch.context() as patched:
        patched.setattr(Pruning, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            prune(model_dir(), pattern, tmp_path / "out", refit="single", calibration=learning, parity=False)
    for given, how, text in [
        (other, "single", learning),
        (pattern, "chain", learning),
        (pattern, "single", small_set(train_tokens=300)),
    ]:
        with pytest.raises(EvopError, match=r"\.out\.refitted holds what another command refitted"):
            prune(model_dir(), given, tmp_path / "out", refit=how, calibration=text, parity=False)
    monkeypatch.setattr("evop.stages.prune_refit.refit_pattern", stopped)  # it is not refitted again
    prune(model_dir(), pattern, tmp_path / "out", refit="single", calibration=learning, parity=False)
    assert PatternFile.find(tmp_path / "out").refit.method == "single"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.json", "out", "pattern.json"]


def test_a_folder_of_ones_own_beside_the_checkpoint_stays(pattern, learning, tmp_path):
    refit(model_dir(), pattern, learning, tmp_path / "out.refitted", **QUICK)
    prune(model_dir(), pattern, tmp_path / "out", refit="single", calibration=learning, parity=False)
    assert (tmp_path / "out.refitted" / REFIT).is_file()


def test_a_refit_in_which_nothing_is_done_gives_way(pattern, learning, tmp_path):
    with pytest.raises(EvopError, match="--anchor-text"):
        refit(model_dir(), pattern, learning, tmp_path / "out", **{**QUICK, "anchor": 0.5}, anchor_text="none.txt")
    refit(model_dir(), pattern, learning, tmp_path / "out", **QUICK)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pattern.json"]


def test_a_folder_that_holds_no_refit_is_left_alone(pattern, learning, tmp_path):
    mine = tmp_path / "out.refitting" / "mine"
    mine.parent.mkdir()
    mine.write_text("")
    with pytest.raises(EvopError, match=r"out\.refitting is there already and holds no refit"):
        refit(model_dir(), pattern, learning, tmp_path / "out", **QUICK)
    assert mine.is_file()


@pytest.mark.parametrize("name", ["recipe.json", "state.safetensors"])
def test_a_healing_that_is_damaged_is_one_line(tmp_path, name):
    folder = HealingFolder(tmp_path / "out")
    folder.open({"seed": 0})
    (folder.folder / name).write_text("{torn")
    with pytest.raises(EvopError, match=rf"{name} is damaged \(.*\); delete .*out\.healing to begin anew"):
        folder.open({"seed": 1})


def test_options_that_say_nothing_without_others_are_refused(pattern, learning, tmp_path):
    with pytest.raises(EvopError, match="--calibration is what --refit learns from"):
        prune(model_dir(), pattern, tmp_path / "out", calibration=learning)
    with pytest.raises(EvopError, match="no audit measured what is refitted now"):
        prune(model_dir(), pattern, tmp_path / "out", refit="auto", calibration=learning, audit=tmp_path)
    with pytest.raises(EvopError, match=r"--anchor-text mine\.txt: its share is 0"):
        refit(model_dir(), pattern, learning, tmp_path / "out", **QUICK, anchor_text="mine.txt")
    with pytest.raises(EvopError, match=r"ridge: Input should be a finite number"):
        refit(model_dir(), pattern, learning, tmp_path / "out", ridge=float("inf"))
    with pytest.raises(EvopError, match="option refit: Input should be"):
        refit(model_dir(), pattern, learning, tmp_path / "out", refit="none")


def test_a_healed_checkpoint_is_not_pruned_from_the_dense_weights(pattern, tmp_path):
    (tmp_path / HEAL).write_text("{}")
    with pytest.raises(EvopError, match="a healed checkpoint is pruned already"):
        prune(model_dir(), tmp_path / PATTERN, tmp_path / "out")
