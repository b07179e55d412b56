"""What a command prints to: closed, full, gone, of few signs; none ends in a traceback, or in a file of evop's."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sets import small_set

SHOW = [sys.executable, "-m", "evop", "show"]
WRITES = """
import sys
from pathlib import Path
from evop.cli import main
from evop.cli.app import app, say
from evop.files.lock import Writing

@app.command()
def write() -> None:
    with Writing("write", Path(sys.argv[0]), "all of it is safe, and the same command goes on").in_place():
        for number in range(9999):
            say(f"{number} " * 99)

sys.argv = [%r, "write"]
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("streams") / "set"
    small_set().save(place)
    return place


def test_a_closed_stream_is_no_file_of_the_next_one(tmp_path):
    """A library that prints to number 1 must not print into a log."""
    code = """
import os, sys
from evop.cli.streams import open_streams
open_streams()
log = open(sys.argv[1], "w")
assert log.fileno() > 2
os.write(1, b"of a library")
print("of Python"); print("of Python", file=sys.stderr)
"""
    path = tmp_path / "log"
    assert subprocess.run([sys.executable, "-c", code, path], preexec_fn=lambda: os.closerange(0, 3)).returncode == 0
    assert path.read_bytes() == b""


def test_whatever_is_at_the_other_end(folder):
    closed = subprocess.run([*SHOW, folder], preexec_fn=lambda: os.close(1), stderr=subprocess.PIPE, text=True)
    assert (closed.returncode, closed.stderr) == (0, "")
    few = {**os.environ, "PYTHONIOENCODING": "ascii"}
    shown = subprocess.run([*SHOW, folder], capture_output=True, env=few)
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert b"\\u2500" in shown.stdout or b"\\xb7" in shown.stdout
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*SHOW, folder], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left on device" in done.stderr


def unread(command):
    """Start a command, read its first sign and no more; returns its exit code and what it says."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        running.stdout.read(1)
        running.stdout.close()
        return running.wait(60), running.stderr.read()


def test_nobody_reads_any_more(folder, tmp_path):
    assert unread([*SHOW, folder])[0] in (0, 128 + signal.SIGPIPE)  # all of it may be in the pipe by then
    code, said = unread([sys.executable, "-c", WRITES % str(tmp_path / "out")])
    assert said == "evop: nobody reads what is printed any more; all of it is safe, and the same command goes on\n"
    assert code == 2
    assert not (tmp_path / "out").exists()
