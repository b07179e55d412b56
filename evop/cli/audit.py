"""``evop audit``: measures patterns on what the search never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evop.cli.app import console, quiet, say
from evop.cli.options import Model, Out, SetFolder, Wait
from evop.cli.recipe_options import options_of
from evop.recipes.audit import AuditRecipe


@options_of(AuditRecipe)
def audit(
    model: Model,
    calibration: SetFolder,
    pattern: Annotated[
        list[Path],
        typer.Option(
            "--pattern",
            help="A pattern file, a search run, EvoPress' drop list (.txt), or a pruned checkpoint, another tool's "
            "alike, which is measured by its own weights; may be repeated.",
        ),
    ],
    out: Out,
    wait: Wait = False,
    **options: Any,
) -> None:
    """Measure what the search never saw, group by group: dense, pruned, and random patterns of equal size."""
    AuditRecipe.of(**options)  # says what is wrong before the seconds that importing torch takes
    from evop.console.audit import print_audit
    from evop.stages.audit import audit as run_audit

    quiet()
    result = run_audit(model, calibration, pattern, out, report=say, wait=wait, **options)
    print_audit(console, result.file)
    console.print(
        f"report: {out / 'report.html'}   rows: {out / 'audit.csv'}   picture: {out / 'audit.png'}", soft_wrap=True
    )
