"""``evop demo``: walks the whole road on what ships with evop."""

from __future__ import annotations

from pathlib import Path

from evop.cli.app import console, quiet
from evop.cli.options import Out


def demo(out: Out = Path("demo")) -> None:
    """Walk the whole road on the embedded model and corpora, in a few minutes on two CPU cores."""
    from evop.cli.run_demo import run_demo

    quiet()
    run_demo(out, console)
