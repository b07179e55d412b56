"""Ctrl-C and SIGTERM: what is safe and how to go on, on one line, whatever is computing; then the end."""

import signal
import subprocess
import sys

import pytest

COMPUTES = {
    "in Python": "while True: pass",
    # No signal is answered in here: the main thread is in a library, and does not come back for minutes.
    "in a library": "import hashlib; hashlib.pbkdf2_hmac('sha256', b'a', b'b', 10**9)",
    "without an end": """
while True:
    try:
        hashlib.pbkdf2_hmac('sha256', b'a', b'b', 10**4)
    except BaseException:
        pass""".replace("hashlib", "__import__('hashlib')"),
}


def command(computes, folder):
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
    with Writing("compute", Path({str(folder)!r}), "all of it is safe, and the same command goes on").in_place():
        print("begun", flush=True)
{body}

sys.argv = ["evop", "compute"]
main()
"""
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert running.stdout.readline() == "begun\n"
    return running


def test_a_signal_is_answered_on_one_line(tmp_path):
    ends = {
        signal.SIGINT: (130, "interrupted"),
        signal.SIGTERM: (143, "terminated"),
        signal.SIGHUP: (129, "its terminal is gone"),
    }
    cases = [(number, computes) for number in (signal.SIGINT, signal.SIGTERM) for computes in COMPUTES]
    cases.append((signal.SIGHUP, "in a library"))
    running = [command(COMPUTES[computes], tmp_path / f"{number} {computes}") for number, computes in cases]
    try:
        for (number, _), process in zip(cases, running, strict=True):
            process.send_signal(number)
        said = [process.communicate(timeout=60)[1].strip() for process in running]
    finally:
        for process in running:
            process.kill()
            process.communicate()
    for case, process, line in zip(cases, running, said, strict=True):
        code, word = ends[case[0]]
        assert line == f"evop: {word}; all of it is safe, and the same command goes on", case
        assert process.returncode == code, case


def test_who_was_told_to_outlive_its_terminal_does(tmp_path):
    """As ``nohup`` tells it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        running = command(COMPUTES["in Python"], tmp_path / "out")
    finally:
        signal.signal(signal.SIGHUP, before)
    running.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):  # it goes on; of two signals at once, the second is answered first
        running.wait(timeout=2)
    running.send_signal(signal.SIGTERM)
    assert "terminated" in running.communicate(timeout=60)[1]
    assert running.returncode == 143
