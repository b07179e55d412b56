"""What a command prints to: closed, full, gone, of few signs; none ends in a traceback, or in a file of evop's."""

import os
import signal
import subprocess
import sys
from pathlib import Path

COMMANDS = """
import sys
from contextlib import nullcontext
from pathlib import Path
from evop.cli import main
from evop.cli.app import app, say
from evop.files.lock import Writing

times, out = int(sys.argv[1]), sys.argv[2]

@app.command()
def tell() -> None:
    writing = Writing("tell", Path(out), "all of it is safe, and the same command goes on")
    with writing.in_place() if out else nullcontext():
        try:
            for number in range(times):
                say(f"{number} \\u00b7 " * 99)
        finally:
            print("of a library")

sys.argv = ["evop", "tell"]
main()
"""


def command(times, out=""):
    """The words that run a command which prints so many lines, and writes a folder meanwhile if one is given."""
    return [sys.executable, "-c", COMMANDS, str(times), str(out)]


def test_a_closed_stream_is_no_file_of_the_next_one(tmp_path):
    """A library that prints to number 1 must not print into a log."""
    code = """
import os, sys
from evop.cli.streams import open_streams
open_streams()
log = open(sys.argv[1], "w")
assert log.fileno() > 2
os.write(1, b"of a library")
assert sys.stdin.read() == ""
sys.stdout.write("of Python"); sys.stderr.write("of Python")
"""
    path = tmp_path / "log"
    assert subprocess.run([sys.executable, "-c", code, path], preexec_fn=lambda: os.closerange(0, 3)).returncode == 0
    assert path.read_bytes() == b""


def test_whatever_is_at_the_other_end():
    closed = subprocess.run(command(1), preexec_fn=lambda: os.close(1), stderr=subprocess.PIPE, text=True)
    assert (closed.returncode, closed.stderr) == (0, "")
    few = subprocess.run(command(1), capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (few.returncode, few.stderr) == (0, b"")
    assert few.stdout.startswith(b"0 \\xb7 0")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command(1), stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left on device; free some space and run the same command again" in done.stderr


def unread(words):
    """Start a command, read its first sign and no more; returns its exit code and what it says."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        running.stdout.read(1)
        running.stdout.close()
        return running.wait(), running.stderr.read()


def test_nobody_reads_any_more(tmp_path):
    assert unread(command(9999)) == (128 + signal.SIGPIPE, "")
    code, said = unread(command(9999, tmp_path / "out"))
    assert said == "evop: nobody reads what is printed any more; all of it is safe, and the same command goes on\n"
    assert code == 2
    assert not (tmp_path / "out").exists()
