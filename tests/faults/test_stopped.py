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


@pytest.mark.parametrize("computes", COMPUTES)
def test_a_signal_is_answered_on_one_line(tmp_path, computes):
    ends = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}
    running = {number: command(COMPUTES[computes], tmp_path / str(number)) for number in ends}
    for number, process in running.items():
        process.send_signal(number)
    for number, process in running.items():
        _, said = process.communicate(timeout=60)
        code, word = ends[number]
        assert said.strip() == f"evop: {word}; all of it is safe, and the same command goes on"
        assert process.returncode == code
