"""A module of evop run in a process of its own, which shares nothing with this one, and what it wrote."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from evop.errors import EvopError
from evop.export.child import run_child

Report = TypeVar("Report")


def in_fresh_process(module: str, arguments: Sequence[str | Path], read: Callable[[Path], Report], what: str) -> Report:
    """Run a module with ``--out FILE --with-parent`` and read the file that it writes; it ends with this process.

    The modelling file inside a heterogeneous checkpoint is what runs there, not the one installed.

    Args:
        module: dotted name of the module.
        arguments: what it is given before ``--out``.
        read: reads what it wrote.
        what: what it does, for the error.

    Raises:
        EvopError: the process failed; the error ends with its last line.
    """
    with tempfile.TemporaryDirectory(prefix="evop-fresh-") as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, "-m", module, *arguments, "--out", out, "--with-parent"]
        environment = {
            **os.environ,
            "HF_MODULES_CACHE": folder,
            "TOKENIZERS_PARALLELISM": "false",
        }
        done, said = run_child([str(word) for word in command], environment)
        if done:
            last = (said.strip().splitlines() or [f"exit code {done}"])[-1]
            raise EvopError(f"{what} did not finish ({last}); nothing was written")
        return read(out)
