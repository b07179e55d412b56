"""``evop show``: prints what a stage left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evop.cli.app import console, quiet
from evop.cli.options import Trust
from evop.errors import EvopError
from evop.files.names import AUDIT, FRONTIER, TRIALS


def show(
    folder: Annotated[Path, typer.Argument(help="A calibration set, a search run or an audit.")],
    text: Annotated[
        bool, typer.Option("--text", help="Of a set: print the first passage of every group, as it is kept.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option("--model", help="With --text: print what this model is given for it, as text."),
    ] = None,
    trust_remote_code: Trust = False,
) -> None:
    """Print what is in a calibration set, a search run or an audit."""
    from calibration import CalibrationSet
    from calibration.calibration_set import MANIFEST
    from evop.auditing.audit_file import AuditFile
    from evop.console.audit import print_audit
    from evop.console.calibration_set import print_set
    from evop.console.search import print_answer
    from evop.stages.search import SearchResult

    if text or model:
        _print_text(folder, model, trust_remote_code)
    elif (folder / AUDIT).is_file():
        print_audit(console, AuditFile.find(folder))
    elif (folder / TRIALS).is_file() or (folder / FRONTIER).is_file():
        print_answer(console, SearchResult.read(folder))
    elif folder.is_dir() and not (folder / MANIFEST).is_file():
        raise EvopError(f"{folder}: no calibration set, no finished search and no audit lies there; give such a folder")
    else:
        print_set(console, CalibrationSet.load(folder))


def _print_text(folder: Path, model: str | None, trust_remote_code: bool) -> None:
    """Print the text of a set, or what a model is given for it."""
    from calibration import CalibrationSet
    from evop.console.passages import print_text

    calibration = CalibrationSet.load(folder)
    if model is None:
        print_text(console, calibration)
        return
    from evop.model.checkpoint import Checkpoint
    from evop.model.loaded import load_tokenizer

    quiet()
    print_text(console, calibration, load_tokenizer(Checkpoint.find(model), trust_remote_code))
