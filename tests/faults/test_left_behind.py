"""What a kill leaves: swept by the next writer, never the only copy of something; what is renamed is on the disk."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from calibration.whole_folder import ASIDE, DRAFT, drafted_beside, publish, put_back
from evop.files.json_file import write_json
from patterns import Measurement, Pattern, Trial, TrialLog

STEPS = ("os.", "shutil.", "ctypes.", "open", "fcntl.")
"""How those things are called, as Python tells its auditors, at which a process may be killed here."""
SIZE = 5


def killed_at(step, act):
    """Run something in a process that is killed before it does a thing for the n-th time; whether it came so far."""
    pid = os.fork()
    if not pid:
        left = [step]

        def die(event, _):
            if event.startswith(STEPS):
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die)
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def fill(folder, word):
    folder.mkdir(exist_ok=True)
    for number in range(SIZE):
        (folder / f"{number}").write_text(word)


def said(folder):
    """What the files of a folder say, each once; it is whole."""
    files = list(folder.iterdir())
    assert len(files) == SIZE
    return {path.read_text() for path in files}


@pytest.mark.parametrize("swaps", [True, False])
def test_an_old_folder_is_never_without_a_name(tmp_path, monkeypatch, swaps):
    """A set that is built anew, killed at every step: one of the two lies there, whole, and nothing else for long."""
    if not swaps:  # as where a file system cannot let two folders change names
        monkeypatch.setattr("calibration.whole_folder.NO_SWAP", (*range(1, 134),))
        monkeypatch.setattr("calibration.whole_folder.RENAME_EXCHANGE", 1 << 30)
    place = tmp_path / "set"

    def build():
        with drafted_beside(place) as fresh:
            fill(fresh, "new")
            publish(fresh, place, replace=True)

    fill(place, "old")
    steps = 1
    while killed_at(steps, build):
        put_back(place)
        assert said(place) in ({"old"}, {"new"})
        steps += 1
        shutil.rmtree(place)
        fill(place, "old")
        shutil.rmtree(tmp_path / f"set{ASIDE}", ignore_errors=True)
        with drafted_beside(place):
            pass
        assert list(tmp_path.iterdir()) == [place], steps
    assert steps > 10
    assert said(place) == {"new"}


def test_a_draft_of_a_living_process_is_let_be(tmp_path):
    place, other = tmp_path / "a", tmp_path / "b"
    with drafted_beside(place) as fresh:
        (fresh / "weights").write_text("of hours")
        with drafted_beside(other):
            assert len(list(tmp_path.glob(f".*{DRAFT}"))) == 2
        assert (fresh / "weights").read_text() == "of hours"
    assert list(tmp_path.iterdir()) == []


def test_a_draft_of_any_name_that_a_folder_may_have(tmp_path):
    for name in ("a" * 255, "漢" * 85, "[/b]\n\x1b"):
        with drafted_beside(tmp_path / name) as fresh:
            (fresh / "file").write_text("x")
            publish(fresh, tmp_path / name)
        assert (tmp_path / name / "file").read_text() == "x"


def test_what_is_renamed_is_on_the_disk(tmp_path, monkeypatch):
    """Else a power failure may leave a name that leads to an empty file."""
    events = []

    def noted(name, call, number):
        def calling(*words, **named):
            events.append((name, number(*words)))
            return call(*words, **named)

        return calling

    monkeypatch.setattr(os, "fsync", noted("sync", os.fsync, lambda held: os.fstat(held).st_ino))
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, noted("rename", getattr(os, name), lambda one, other: Path(one).stat().st_ino))

    def folder_is_synced_last(folder):
        assert events[-1] == ("sync", folder.stat().st_ino)

    with drafted_beside(tmp_path / "set") as fresh:
        fill(fresh, "new")
        numbers = {path.stat().st_ino for path in (fresh, *fresh.iterdir())}
        publish(fresh, tmp_path / "set")
    at = events.index(("rename", (tmp_path / "set").stat().st_ino))
    assert {number for name, number in events[:at] if name == "sync"} >= numbers
    folder_is_synced_last(tmp_path)
    events.clear()
    write_json(tmp_path / "a.json", {"a": 1})
    number = (tmp_path / "a.json").stat().st_ino
    assert events[:2] == [("sync", number), ("rename", number)]
    folder_is_synced_last(tmp_path)
    events.clear()
    log = TrialLog.create(tmp_path / "trials.jsonl", {"seed": 1})
    number = log.path.stat().st_ino
    assert events[:2] == [("sync", number), ("rename", number)]
    events.clear()
    log.append([Trial(0, Pattern((1,)), True, 4, Measurement(0.1, {"law/0": 0.3}, 100))])
    assert ("sync", number) in events


def test_a_child_ends_with_its_parent(tmp_path):
    """The check of a checkpoint, in a fresh process, whose parent is killed."""
    told = tmp_path / "pid"
    child = f"""
import os, pathlib, time
from evop.export.child import end_with_parent
end_with_parent()
path = pathlib.Path({str(told)!r})
path.with_name("draft").write_text(str(os.getpid()))
path.with_name("draft").rename(path)
time.sleep(600)
"""
    runs = f"run_child([sys.executable, '-c', {child!r}], os.environ)"
    code = f"import os, sys\nfrom evop.export.child import run_child\n{runs}"
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        while not told.exists():
            assert parent.poll() is None
            time.sleep(0.01)
        parent.kill()
    pid = int(told.read_text())
    for _ in range(1000):
        if not is_running(pid):
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("it goes on")


def is_running(pid):
    """Whether a process computes; one that nobody has asked for its end yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
