"""Ctrl-C and SIGTERM: what is safe and how to go on, on one line, whatever is computing; then the end."""

import os
import signal
import subprocess
import sys
import time

import pytest

BEGUN = 'print("begun", flush=True)'
COMPUTES = {
    "in Python": f"{BEGUN}\nwhile True: pass",
    # No signal is answered in here: the main thread is in a library, and does not come back for minutes.
    "in a library": f"import hashlib\n{BEGUN}\nhashlib.pbkdf2_hmac('sha256', b'a', b'b', 10**9)",
    "without an end": f"""
import hashlib
{BEGUN}
while True:
    try:
        hashlib.pbkdf2_hmac('sha256', b'a', b'b', 10**4)
    except BaseException:
        pass""",
    "past a first interruption": f"""
try:
    {BEGUN}
    while True: sum(range(99))
except KeyboardInterrupt:
    while True: pass""",
    "with an end that hangs": f"""
import atexit, time
atexit.register(time.sleep, 600)
{BEGUN}
while True: pass""",
}
TIDY = ("in Python", "past a first interruption", "with an end that hangs")
"""What an interruption ends; the others end as they stand."""
SAID = "all of it is safe, and the same command goes on"


def command(computes, folder, stderr=subprocess.PIPE):
    """A command of evop's that takes its folder and computes, in a process of its own."""
    body = "\n".join(f"        {line}" for line in computes.strip().splitlines())
    code = f"""
import sys
from pathlib import Path
from evop.cli import main
from evop.cli.app import app
from evop.files.lock import Writing

@app.command()
def compute() -> None:
    with Writing("compute", Path({str(folder)!r}), {SAID!r}).in_place():
{body}

sys.argv = ["evop", "compute"]
main()
"""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=stderr, text=True, bufsize=1)


def begun(running):
    """Wait until a command computes."""
    assert running.stdout.readline() == "begun\n"
    return running


def test_a_signal_is_answered_on_one_line(tmp_path):
    ends = {
        signal.SIGINT: (130, "interrupted"),
        signal.SIGTERM: (143, "terminated"),
        signal.SIGHUP: (129, "its terminal is gone"),
    }
    first = list(COMPUTES)[:3]
    cases = [(number, computes) for number in (signal.SIGINT, signal.SIGTERM) for computes in first]
    cases += [(signal.SIGHUP, "in a library"), *((signal.SIGINT, computes) for computes in list(COMPUTES)[3:])]
    running = [command(COMPUTES[computes], tmp_path / f"{number} {computes}") for number, computes in cases]
    try:
        for process in running:
            begun(process)
        for (number, _), process in zip(cases, running, strict=True):
            process.send_signal(number)
        said = [process.communicate(timeout=60)[1].strip() for process in running]
    finally:
        for process in running:
            process.kill()
            process.communicate()
    for case, process, line in zip(cases, running, said, strict=True):
        code, word = ends[case[0]]
        assert line == f"evop: {word}; {SAID}", case
        assert process.returncode == code, case
        assert (tmp_path / f"{case[0]} {case[1]}").exists() == (case[1] not in TIDY), case


def full_pipe():
    """A pipe that takes nothing more until it is read, and how many bytes it holds."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    held = 0
    try:
        while True:
            held += os.write(writes, b"." * 1024)
    except BlockingIOError:
        os.set_blocking(writes, True)
    return reads, writes, held


@pytest.mark.parametrize("computes", ["in Python", "with an end that hangs"])
def test_another_signal_at_its_very_end_changes_nothing(tmp_path, computes):
    """While its line waits for a terminal that does not take it yet; and while the process is torn down."""
    waits = computes == "in Python"
    reads, writes, held = full_pipe() if waits else (*os.pipe(), 0)
    running = begun(command(COMPUTES[computes], tmp_path / "out", stderr=writes))
    os.close(writes)
    try:
        running.send_signal(signal.SIGINT)
        while (tmp_path / "out").exists():
            time.sleep(0.01)
        time.sleep(0.3)
        running.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        said = b"" if not waits else b"".join(iter(lambda: os.read(reads, 1 << 16), b""))
        assert running.wait(timeout=60) == 130
        said += b"".join(iter(lambda: os.read(reads, 1 << 16), b""))
        assert said[held:].decode() == f"\nevop: interrupted; {SAID}\n"
    finally:
        os.close(reads)
        running.kill()
        running.communicate()


def test_who_was_told_to_outlive_its_terminal_does(tmp_path):
    """As ``nohup`` tells it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        running = begun(command(COMPUTES["in Python"], tmp_path / "out"))
    finally:
        signal.signal(signal.SIGHUP, before)
    running.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):  # it goes on; of two signals at once, the second is answered first
        running.wait(timeout=2)
    running.send_signal(signal.SIGTERM)
    assert "terminated" in running.communicate(timeout=60)[1]
    assert running.returncode == 143
