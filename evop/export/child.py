"""A process that another one starts, and that ends with it, however that one ends."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command to its end.

    Args:
        command: the command; a Python one calls ``end_with_parent``.
        environment: its environment.

    Returns:
        Its exit code, and what it said on its standard error.
    """
    with subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,  # never written to: it closes when this process ends, be it by kill -9
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(environment),
    ) as child:
        try:
            assert child.stderr is not None
            said = child.stderr.read()
        except BaseException:
            child.kill()
            raise
        return child.wait(), said


def end_with_parent() -> None:
    """End this process when the standard input closes: the one that started it by ``run_child`` has ended."""

    def watch() -> None:
        if not os.read(0, 1):
            os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
