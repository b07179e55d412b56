"""``evop show``: prints what a stage left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evop.cli.app import console
from evop.files.names import AUDIT, FRONTIER, TRIALS


def show(folder: Annotated[Path, typer.Argument(help="A calibration set, a search run or an audit.")]) -> None:
    """Print what is in a calibration set, a search run or an audit."""
    from calibration import CalibrationSet
    from evop.auditing.audit_file import AuditFile
    from evop.console.audit import print_audit
    from evop.console.calibration_set import print_set
    from evop.console.search import print_answer
    from evop.stages.search import SearchResult

    if (folder / AUDIT).is_file():
        print_audit(console, AuditFile.find(folder))
    elif (folder / TRIALS).is_file() or (folder / FRONTIER).is_file():
        print_answer(console, SearchResult.read(folder))
    else:
        print_set(console, CalibrationSet.load(folder))
