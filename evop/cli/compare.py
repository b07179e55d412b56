"""``evop compare``: puts search runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evop.cli.app import console, say


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Search runs, or folders that hold some, such as a recipe's out.")],
    audit: Annotated[list[Path] | None, typer.Option(help="An audit to look into; may be repeated.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the whole table to this file.")] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            help="Draw what is lost over what is removed, to this PNG: the worst audited excess, or with --tolerate "
            "every domain beside what it may lose."
        ),
    ] = None,
) -> None:
    """Print search runs as one table, with what audits beside them measured."""
    from evop.console.comparison import print_comparison
    from evop.files.csv_file import write_csv
    from evop.files.given_file import given_file, refuse_no_file
    from evop.stages.compare import compare as compare_runs

    for option, file, ending in (("--csv", csv, ".csv"), ("--picture", picture, "")):
        if file:
            refuse_no_file(option, file, ending)
    table = compare_runs(runs, audit or ())
    print_comparison(console, table)
    if csv:
        with given_file("--csv", csv) as draft:
            write_csv(table, draft)
        say(f"table: {csv}")
    if picture:
        from evop.stages.compare_picture import draw_comparison

        lacking = draw_comparison(table, picture)
        say(
            f"picture: {picture}" + (f"; not in it, since no audit measured them: {', '.join(lacking)}" * bool(lacking))
        )
