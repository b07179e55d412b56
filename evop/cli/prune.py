"""``evop prune``: a model and a pattern in, a smaller checkpoint out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evop.cli.app import quiet, say
from evop.cli.options import Model, Out, Revision, Trust, Wait


def prune(
    model: Model,
    pattern: Annotated[
        Path, typer.Option("--pattern", help="A pattern file, a search run, or EvoPress' drop list (.txt).")
    ],
    out: Out,
    audit: Annotated[Path | None, typer.Option(help="An audit to put into the model card.")] = None,
    refit: Annotated[
        str, typer.Option(help="How the weights that stay make up for what left: none, auto, or as of evop refit.")
    ] = "none",
    calibration: Annotated[
        Path | None, typer.Option(help="A calibration set with text to learn from, for --refit.")
    ] = None,
    revision: Revision = None,
    trust_remote_code: Trust = False,
    wait: Wait = False,
) -> None:
    """Write the smaller checkpoint, and check in a fresh process that it computes what was measured."""
    from evop.stages.prune import prune as run_prune

    quiet()
    run_prune(
        model,
        pattern,
        out,
        audit=audit,
        refit=refit,
        calibration=calibration,
        revision=revision,
        trust_remote_code=trust_remote_code,
        report=say,
        wait=wait,
    )
