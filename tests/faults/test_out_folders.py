"""Where a stage is to write: what cannot be a folder of its own is refused before anything is read or computed."""

import os
import shutil

import pytest
from sets import small_set

from calibration import CalibrationSet, DomainSource, Recipe
from calibration.errors import CalibrationError
from calibration.whole_folder import ASIDE
from evop.errors import EvopError
from evop.files.names import AUDIT, TRIALS
from evop.reference import model_dir
from evop.stages.audit import audit
from evop.stages.audit_folder import PAGE, ROWS, refuse_no_audit
from evop.stages.calibrate import calibrate
from evop.stages.export import export
from evop.stages.heal import heal
from evop.stages.metric import search_metric
from evop.stages.prune import prune
from evop.stages.refit import refit
from evop.stages.search import search
from patterns import TrialLog

NOTHING = Recipe(domains=[DomainSource(name="a", source="no such.jsonl")])
STAGES = {
    "calibrate": lambda out: calibrate(NOTHING, out),
    "search": lambda out: search("no model", "no set", out),
    "metric": lambda out: search_metric("no model", "no set", out),
    "audit": lambda out: audit("no model", "no set", "no pattern", out),
    "refit": lambda out: refit("no model", "no pattern", "no set", out),
    "prune": lambda out: prune("no model", "no pattern", out),
    "heal": lambda out: heal("no model", "no pattern", "no set", out),
}
"""Stages, each given nothing that is there: what they say of ``out`` comes before they look."""


@pytest.mark.parametrize("stage", STAGES)
def test_what_cannot_be_a_folder_is_refused_before_anything_is_read(tmp_path, stage):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "astray").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    before = {path: path.lstat().st_mode for path in tmp_path.iterdir()}
    for name, says in {
        "file": "is a file, a pipe or a device",
        "pipe": "is a file, a pipe or a device",
        "/dev/null": "is a file, a pipe or a device",
        "loop": "is a link that leads nowhere",
        "astray": "is a link that leads nowhere",
        "file/inner": "cannot write there",
        "loop/inner": "cannot write there",
        "x" * 300: "cannot write there",
    }.items():
        with pytest.raises(EvopError, match=says) as caught:
            STAGES[stage](tmp_path / name)
        assert str(caught.value).startswith("--out ")
        assert "\n" not in str(caught.value)
    assert {path: path.lstat().st_mode for path in tmp_path.iterdir()} == before
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("stage", [*STAGES, "export"])
def test_nothing_is_written_into_a_models_folder(tmp_path, stage, monkeypatch):
    shutil.copytree(model_dir(), tmp_path / "model")
    (tmp_path / "link").symlink_to("model")
    (tmp_path / "model" / "notes").mkdir()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path / "model")
    for out in ("pruned", "notes/pruned", tmp_path / "model" / "pruned", tmp_path / "link" / "x" / "pruned"):
        with pytest.raises(EvopError, match=f"^--out {out} lies inside {tmp_path / 'model'}, the folder of a model; "):
            {**STAGES, "export": lambda out: export("no model", out, format="gguf")}[stage](out)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_set_is_not_built_for_a_folder_that_holds_something_else(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(EvopError, match=r"holds thesis\.txt, expected an empty folder or a calibration set"):
        calibrate(NOTHING, tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(CalibrationError, match="is a link that leads nowhere"):
        small_set().save(tmp_path / "loop")


def test_an_audit_is_not_written_over_what_another_stage_made(tmp_path):
    small_set().save(tmp_path / "set")
    shutil.copytree(model_dir(), tmp_path / "model")
    (tmp_path / "model" / AUDIT).write_text("{}")  # as in a checkpoint whose card shows one
    (tmp_path / "run").mkdir()
    TrialLog.create(tmp_path / "run" / TRIALS, {"seed": 1})
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / PAGE).write_text("of another tool")
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    for name, says in {
        "set": "is the folder of a calibration set",
        "model": "is the folder of a model",
        "run": "is the folder of a search",
        "notes": "is not empty and holds no audit",
    }.items():
        with pytest.raises(EvopError, match=says) as caught:
            STAGES["audit"](tmp_path / name)
        assert "\n" not in str(caught.value)
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_audit_gives_way_to_the_next(tmp_path):
    refuse_no_audit(tmp_path / "new")
    refuse_no_audit(tmp_path)
    for name in (ROWS, "audit.tmp.json"):  # of an audit that was killed
        (tmp_path / name).write_text("")
        refuse_no_audit(tmp_path)
    (tmp_path / AUDIT).write_text("{}")
    (tmp_path / "notes.txt").write_text("what a person wrote beside it")
    refuse_no_audit(tmp_path)


def test_a_set_that_stepped_aside_is_found(tmp_path):
    """As after a kill, where a file system cannot let two folders change names."""
    small_set().save(tmp_path / f"set{ASIDE}")
    with pytest.raises(CalibrationError, match=f"was killed; rename .*set{ASIDE}, which is the old set"):
        CalibrationSet.load(tmp_path / "set")
