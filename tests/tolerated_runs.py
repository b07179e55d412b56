"""Searches by tolerances for tests: begun as a command that is killed, and what of them no clock decides."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from evop.reference import model_dir

KEPT = ("trials.jsonl", "pattern.json", "frontier.json", "point.json", "frontier.html")


def kept(folder: Path) -> dict[str, bytes]:
    """What a search by tolerances leaves that no clock decides."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.name in KEPT}


def killed(calibration: Path, out: Path, words: Sequence[str], is_far: Callable[[], bool], seconds: float) -> None:
    """Begin a search as a command, and kill it when it is far enough, before it ends."""
    command = [sys.executable, "-m", "evop", "search", "--model", str(model_dir()), "--calibration", str(calibration)]
    command += ["--out", str(out), *words, "--strategy", "random", "--deploy", "any", "--max-tokens", "32"]
    command += ["--min-group-tokens", "20", "--device", "cpu", "--dtype", "float32"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    deadline = time.monotonic() + seconds
    while not is_far() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "frontier.json").exists()
