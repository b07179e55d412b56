"""``evop refit``: what it writes, that it goes on where it was stopped, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.torch import load_file
from sets import small_set
from tiny import removing, write_pattern

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.files.names import CORRECTIONS, HEAL, PATTERN, REFIT
from evop.losses.table import excess
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recovery.refit_file import RefitFile
from evop.reference import model_dir
from evop.removal.cut import Cut
from evop.removal.opened import open_pattern
from evop.removal.pattern_file import PatternFile
from evop.stages.prune import prune
from evop.stages.refit import refit
from evop.tokens.passages import tokenize

HOW = {"dtype": "float32", "device": "cpu", "max_tokens": 64}
QUICK = {"refit": "chain", "ridge": 0.1, "anchor": 0.0, **HOW}
GONE = ("layers.2", "layers.6", "layers.10")


@pytest.fixture
def pattern(tmp_path):
    return write_pattern(tmp_path / "pattern.json", *removing(model_dir(), *GONE, grain="layer"), model_dir())


@pytest.fixture(scope="module")
def learning():
    return small_set(train_tokens=600)


def bytes_of(folder):
    return {name: (folder / name).read_bytes() for name in (PATTERN, CORRECTIONS, REFIT)}


def test_the_worst_domain_gets_something_back(pattern, tmp_path):
    """On audit, of which neither the refit nor the choice of how to refit saw anything."""
    lines, learning = [], small_set(train_tokens=2000, limit=500)
    result = refit(model_dir(), pattern, learning, tmp_path / "out", report=lines.append, **HOW)
    file = RefitFile.read(tmp_path / "out" / REFIT)
    assert file.tried == result.file.tried
    assert [tried.method for tried in file.tried][:2] == ["none", "both"]
    assert {tried.ridge for tried in file.tried[1:]} == {0.1, 1.0}
    assert "anchor" in file.best.excess
    assert file.best.value == min(tried.value for tried in file.tried)
    loaded = load_model(Checkpoint.find(model_dir()), "cpu", "float32")
    before, after = (open_pattern(place, loaded.checkpoint) for place in (pattern, tmp_path / "out"))
    audit = tokenize(learning.split("audit"), loaded.tokenizer, 64)
    evaluator = Evaluator.of(loaded, before.space, 64)
    dense, *tables = (table.by_group for table in evaluator.of_cuts([Cut(), before.cut, after.cut], audit))
    lost, kept = (max(excess(table, dense).values()) for table in tables)
    assert kept < 0.9 * lost
    assert any("learning from" in line for line in lines)
    assert not any("that is little" in line for line in lines)
    assert any("refit on select: worst group" in line for line in lines)


def test_what_is_written_is_pruned_with_its_weights(pattern, learning, tmp_path):
    refit(model_dir(), pattern, learning, tmp_path / "refitted", **QUICK)
    file = PatternFile.find(tmp_path / "refitted")
    assert (file.refit.method, file.refit.ridge, file.refit.through, file.refit.anchor) == ("chain", 0.1, 11, 0.0)
    assert file.model_copy(update={"refit": None, "corrections": None}) == PatternFile.find(pattern)
    written = prune(model_dir(), tmp_path / "refitted", tmp_path / "out")
    assert written.parity.holds
    assert written.kind == "stock"
    assert not (tmp_path / "out" / CORRECTIONS).exists()
    again = refit(model_dir(), tmp_path / "out", learning, tmp_path / "again", **QUICK)
    assert bytes_of(again.folder)[CORRECTIONS] == bytes_of(tmp_path / "refitted")[CORRECTIONS]


def test_prune_refits_on_the_way(pattern, learning, tmp_path):
    result = prune(model_dir(), pattern, tmp_path / "out", refit="single", calibration=learning, parity=False)
    assert PatternFile.find(result.folder).refit.method == "single"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pattern.json"]
    with pytest.raises(EvopError, match="--refit single learns from text; give --calibration a set made with"):
        prune(model_dir(), pattern, tmp_path / "other", refit="single")


def test_killed_it_goes_on_to_the_same_bytes(pattern, learning, tmp_path):
    learning.save(tmp_path / "set")
    asked = {**QUICK, "refit": "both"}
    whole = refit(model_dir(), pattern, learning, tmp_path / "whole", **asked).folder
    words = [sys.executable, "-m", "evop", "refit", "--model", model_dir(), "--pattern", pattern]
    words += ["--calibration", tmp_path / "set", "--out", tmp_path / "killed"]
    words += [word for name, value in asked.items() for word in (f"--{name.replace('_', '-')}", value)]
    process = subprocess.Popen([str(word) for word in words], env={**os.environ, "OMP_NUM_THREADS": "1"})
    folder = tmp_path / "killed.refitting"
    while process.poll() is None and len(list(folder.glob("*.safetensors"))) < 3:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = sorted(folder.glob("*.safetensors"))
    assert len(done) >= 3
    assert not (tmp_path / "killed").exists()
    done[1].write_bytes(done[1].read_bytes()[:40])
    subprocess.run([str(word) for word in words], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert not folder.exists()
    found, wanted = (load_file(place / CORRECTIONS) for place in (tmp_path / "killed", whole))
    assert found.keys() == wanted.keys()
    assert any("/" in name for name in wanted)  # matrices that blocks read with
    assert bytes_of(tmp_path / "killed") == bytes_of(whole)


def test_a_stopped_refit_of_another_recipe_is_refused(pattern, learning, tmp_path):
    folder = tmp_path / "out.refitting"
    with pytest.raises(KeyboardInterrupt):
        refit(model_dir(), pattern, learning, tmp_path / "out", watch=stop_at(folder, 2), **QUICK)
    assert len(list(folder.glob("*.safetensors"))) == 2
    with pytest.raises(EvopError, match="holds a refit that was stopped and had another refit; ask for the same"):
        refit(model_dir(), pattern, learning, tmp_path / "out", **{**QUICK, "refit": "single"})


def stop_at(folder, blocks):
    def watch(line):
        if len(list(folder.glob("*.safetensors"))) == blocks:
            raise KeyboardInterrupt

    return watch


def test_what_is_no_better_is_left_as_it_was(pattern, learning, tmp_path):
    """A ridge so strong that it changes nothing: of two that are equal, the weights that are there."""
    refit(model_dir(), pattern, learning, tmp_path / "auto", ridge=1e12, anchor=0.0, **HOW)
    file = PatternFile.find(tmp_path / "auto")
    assert (file.refit, file.corrections) == (None, None)
    assert file == PatternFile.find(pattern)


def test_weights_that_stay_keep_their_note(pattern, learning, tmp_path):
    """What was refitted before is left as it was where nothing is better; it is not called unrefitted then."""
    refit(model_dir(), pattern, learning, tmp_path / "first", **{**QUICK, "ridge": 1.0})
    refit(model_dir(), tmp_path / "first", learning, tmp_path / "again", ridge=1e12, anchor=0.0, **HOW)
    assert RefitFile.read(tmp_path / "again" / REFIT).chosen == 0
    assert PatternFile.find(tmp_path / "again") == PatternFile.find(tmp_path / "first")
    written = prune(model_dir(), tmp_path / "again", tmp_path / "out", parity=False)
    assert PatternFile.find(written.folder).refit is not None


def test_sets_without_text_and_filled_folders_are_refused(pattern, learning, tmp_path):
    with pytest.raises(EvopError, match=r"has no split train, .* build it again with --train-tokens 20000"):
        refit(model_dir(), pattern, small_set(), tmp_path / "out", **HOW)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    with pytest.raises(EvopError, match="is there already and not an empty folder"):
        refit(model_dir(), pattern, learning, tmp_path / "full", **HOW)
    (tmp_path / HEAL).write_text("{}")
    with pytest.raises(EvopError, match="is healed already, and a refit begins from the dense model's weights"):
        refit(model_dir(), pattern, learning, tmp_path / "out", **HOW)
    with pytest.raises(EvopError, match="option refit: Input should be 'auto'"):
        refit(model_dir(), pattern, learning, tmp_path / "out", refit="bogus")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", HEAL, "pattern.json"]


def test_a_full_disk_leaves_nothing_half_written(pattern, learning, tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises((EvopError, OSError)) as caught:
            refit(model_dir(), pattern, learning, tmp_path / "out", **QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    refit(model_dir(), pattern, learning, tmp_path / "out", **QUICK)
    assert (tmp_path / "out" / PATTERN).is_file()


def test_a_chosen_ridge_is_one_of_those_that_were_judged(pattern, learning, tmp_path):
    lines = []
    refit(model_dir(), pattern, learning, tmp_path / "out", report=lines.append, **QUICK)
    assert any("little for projections of 512 features: fewer than 5 tokens each" in line for line in lines)
    account = json.loads((tmp_path / "out" / REFIT).read_text())
    assert account["schema"] == "evop.refit/2"
    assert (account["chosen"], len(account["tried"]), account["anchor"]) == (1, 2, "")
    groups = {passage.group for passage in learning.split("select")}
    assert set(account["tried"][1]["excess"]) == groups
    values = np.array([tried["value"] for tried in account["tried"]])
    assert np.isfinite(values).all()
