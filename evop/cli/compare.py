"""``evop compare``: puts search runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evop.cli.app import console, say
from evop.errors import EvopError, first_line


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Search runs, or folders that hold some, such as a recipe's out.")],
    audit: Annotated[list[Path] | None, typer.Option(help="An audit to look into; may be repeated.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the whole table to this file.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the worst audited excess against what is removed, to this PNG.")
    ] = None,
) -> None:
    """Print search runs as one table, with what audits beside them measured."""
    from evop.console.comparison import print_comparison
    from evop.files.json_file import whole
    from evop.stages.compare import compare as compare_runs

    table = compare_runs(runs, audit or ())
    print_comparison(console, table)
    if csv:
        with whole(csv) as file:
            table.to_csv(file, index=False)
        say(f"table: {csv}")
    if picture:
        from evop.report.frontier_plot import draw_frontier

        audited = table[table["audit_worst"].notna()]
        if audited.empty or len(audited.groupby(["model_fingerprint", "calibration", "cost"])) > 1:
            raise EvopError("--picture needs audited runs of one model, one calibration set and one --cost")
        with whole(picture) as file:
            try:
                draw_frontier(table, file)
            except ValueError as error:  # matplotlib knows no such format
                raise EvopError(
                    f"--picture {picture}: {first_line(error)}; end the name in .png, .svg or .pdf"
                ) from error
        say(f"picture: {picture}")
