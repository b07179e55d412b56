"""One writer to a folder: a second is told who holds it, or waits; a lock goes with its owner, even by ``kill -9``."""

import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from evop.errors import EvopError
from evop.files.lock import LOCK, Writing

HOLD = """
import sys
from pathlib import Path
from evop.files.lock import Writing
with getattr(Writing("search", Path(sys.argv[1]), "safe"), sys.argv[2])():
    print("held", flush=True)
    sys.stdin.read()
"""
PLACES = ("in_place", "beside")


@pytest.fixture
def owner():
    """Starts processes that hold the lock of a folder; all are ended."""
    started = []

    def start(folder, place):
        holding = subprocess.Popen(
            [sys.executable, "-c", HOLD, folder, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(holding)
        assert holding.stdout.readline() == "held\n"
        return holding

    yield start
    for holding in started:
        holding.kill()
        holding.communicate()


@pytest.mark.parametrize("place", PLACES)
def test_the_second_writer_is_told_who_holds_the_folder_until_that_one_is_gone(tmp_path, owner, place):
    out = tmp_path / "out"
    first = owner(out, place)
    for _ in range(2):
        with (
            pytest.raises(EvopError, match=rf"another process writes there \(evop search, process {first.pid} on "),
            getattr(Writing("audit", out, "safe"), place)(),
        ):
            pytest.fail("two writers")
    first.kill()
    first.wait()
    with getattr(Writing("audit", out, "safe"), place)():
        pass
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("out", ["", ".", "/", "..", "a/.."])
def test_a_folder_without_a_name(out):
    with pytest.raises(EvopError, match="has no name of its own"), Writing("prune", Path(out), "safe").beside():
        pytest.fail("beside what?")


@pytest.mark.parametrize("place", PLACES)
def test_one_that_waits_is_next(tmp_path, owner, place):
    out, said, held, gone = tmp_path / "out", [], [], []
    first = owner(out, place)

    def waiting():
        with getattr(Writing("audit", out, "safe", wait=True, report=said.append), place)():
            held.append(list(gone))

    second = Thread(target=waiting)
    second.start()
    while not said:
        assert second.is_alive()
    assert said == [f"waiting for evop search, process {first.pid} on {said[0].split(' on ')[1]}"]
    gone.append("first")
    first.kill()
    first.wait()
    second.join(60)
    assert held == [["first"]]


def test_many_writers_at_once_are_one_after_another(tmp_path):
    """Each reads a number and writes the next: two at once would lose one."""
    counter, out, writers, each = tmp_path / "counter", tmp_path / "out", 4, 25
    counter.write_text("0")
    code = f"""
from pathlib import Path
from evop.files.lock import Writing
for _ in range({each}):
    with Writing("count", Path({str(out)!r}), "safe", wait=True).in_place():
        counter = Path({str(counter)!r})
        counter.write_text(str(int(counter.read_text()) + 1))
"""
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(writers)]
    assert [process.wait() for process in running] == [0] * writers
    assert counter.read_text() == str(writers * each)
    assert not (out / LOCK).exists()


TOGGLE = """
import sys
from pathlib import Path
folder = Path(sys.argv[1])
print("begun", flush=True)
while True:
    try:
        folder.mkdir(exist_ok=True)
        folder.rmdir()
    except OSError:
        pass
"""


def test_a_folder_that_another_writer_makes_and_takes_away_at_the_same_moment_is_a_folder(tmp_path):
    out = tmp_path / "out"
    other = subprocess.Popen([sys.executable, "-c", TOGGLE, out], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "begun\n"
        for number in range(100):
            with Writing("count", out, "safe").in_place():
                (out / "written").write_text(str(number))
                assert (out / "written").read_text() == str(number)
                (out / "written").unlink()
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize("out", ["a\0b", "n" * 300, "file/out", "deep/" + "n" * 300 + "/out"])
def test_a_folder_that_no_one_can_make_is_said_in_a_line(tmp_path, out):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EvopError, match=r"cannot write there \(.+\); choose another folder"),
        Writing("search", tmp_path / out, "safe").in_place(),
    ):
        pytest.fail("written")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["file"]
