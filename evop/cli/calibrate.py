"""``evop calibrate``: domains in, a calibration set out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from calibration import Recipe
from evop.cli.app import console, say
from evop.cli.options import Out, Wait
from evop.cli.recipe_options import options_of
from evop.losses.tolerance import Tolerances

Words = list[str] | None
OTHERS = "Files of other tools"
"""Heading of the options that not everybody needs."""


@options_of(Recipe, "domains", "tasks", "continuations", "group_by")
def calibrate(
    out: Out,
    domain: Annotated[
        Words, typer.Option("--domain", help="NAME=FILE[:COLUMN] or NAME=REPO:CONFIG:SPLIT:COLUMN.")
    ] = None,
    task: Annotated[
        Words,
        typer.Option("--task", help="Questions with choices: NAME=FILE, NAME=REPO:CONFIG:SPLIT or NAME=lm_eval:TASK."),
    ] = None,
    task_columns: Annotated[
        Words,
        typer.Option(help="What a task's file calls its columns: NAME=query:question,choices:a+b,domain:subject."),
    ] = None,
    continuations: Annotated[
        Words,
        typer.Option(help="A domain of whose text a task is made (which ending is a passage's own?), or all."),
    ] = None,
    group_by: Annotated[
        Words,
        typer.Option(help="COLUMN that names the document of a row; DOMAIN=COLUMN for one domain, DOMAIN= for rows."),
    ] = None,
    tolerate: Annotated[
        Words,
        typer.Option(help="What a group may lose, as of evop search; warn if an audit could miss more."),
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option(
            "--import",
            help="A table with a column domain beside text or messages, as --export writes.",
            rich_help_panel=OTHERS,
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            help="Write the search sample to this .jsonl, for GPTQ, AWQ and others; with no domain, that of the set at "
            "--out.",
            rich_help_panel=OTHERS,
        ),
    ] = None,
    wait: Wait = False,
    **options: Any,
) -> None:
    """Build a calibration set of text and tasks: embed, cluster each domain, split, sample."""
    from calibration import CalibrationSet
    from calibration.reading.sample_file import domains_in
    from evop.console.calibration_set import print_set
    from evop.recipes.words import calibration_recipe
    from evop.stages.calibrate import calibrate as run_calibrate
    from evop.stages.sample_file import export_sample, refuse_export

    if export is not None:
        refuse_export(export)
        if not (domain or task or import_):
            console.print(f"{export_sample(CalibrationSet.load(out), export)} passages: {export}", soft_wrap=True)
            return
    imported, grouped = domains_in(import_) if import_ else ([], [])
    asked = calibration_recipe(
        [*(domain or ()), *imported],
        [*grouped, *(group_by or ())],
        task or (),
        task_columns or (),
        continuations=continuations or [],
        **options,
    )
    tolerances = Tolerances.read(tolerate or ())
    built = run_calibrate(asked, out, report=_but_notes, wait=wait)
    print_set(console, built, tolerances)
    console.print(f"calibration set: {out}   map of the clusters: {out / 'clusters.png'}", soft_wrap=True)
    if export is not None:
        console.print(f"{export_sample(built, export)} passages: {export}", soft_wrap=True)


def _but_notes(line: str) -> None:
    """Report a step; notes stand under the table of the set."""
    if not line.startswith("note: "):
        say(line)
