"""A sheet as the command line prints it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from calibration.visible import visible
from evop.console.plain import PlainConsole
from evop.console.tables import new_table
from evop.report.sheet import Cell, Sheet

NARROWEST = 10
"""Letters that stand on one line of a head at least."""
NAMES_WIDTH = 32
"""Letters of a name that stand on one line where room is scarce."""
BETWEEN = 3
"""Letters of space between two columns."""


def print_sheet(console: PlainConsole, sheet: Sheet, most: int | None = None, rest: str = "") -> None:
    """Print a table; columns that the console is too narrow for follow below, beside the names again.

    Args:
        console: the console.
        sheet: the table.
        most: so many lines are shown at most; None for all.
        rest: the file that has the rest.
    """
    heads = [textwrap.fill(head, max(_widest(sheet, at), NARROWEST)) for at, head in enumerate(sheet.heads)]
    console.print()
    columns = list(range(sheet.names, len(heads)))
    widths = [max(_widest(sheet, at), *map(len, head.split("\n"))) + BETWEEN for at, head in enumerate(heads)]
    names = sum(min(width, NAMES_WIDTH + BETWEEN) for width in widths[: sheet.names])
    while columns:
        fitting, room = 1, console.width - names - widths[columns[0]]
        while fitting < len(columns) and widths[columns[fitting]] <= room:
            room -= widths[columns[fitting]]
            fitting += 1
        table = _table(sheet, heads, [*range(sheet.names), *columns[:fitting]], most, rest)
        columns = columns[fitting:]
        table.caption = None if columns else sheet.legend
        console.print(table)
        sheet = Sheet("", sheet.heads, sheet.rows, sheet.legend, sheet.names)


def _table(sheet: Sheet, heads: Sequence[str], columns: Sequence[int], most: int | None, rest: str) -> Table:
    """Lay some columns out: names fold, numbers stand right and whole."""
    table = new_table(sheet.title)
    table.caption_justify = "left"
    for at in columns:
        if at < sheet.names:
            table.add_column(heads[at], overflow="fold", min_width=min(_widest(sheet, at), NAMES_WIDTH))
        else:
            table.add_column(heads[at], justify="right", no_wrap=True)
    shown = sheet.rows[:most]
    for row in shown:
        table.add_row(*(_words(row.cells[at]) for at in columns))
    if len(shown) < len(sheet.rows):
        table.add_row(f"and {len(sheet.rows) - len(shown)} more: {rest}")
    return table


def _widest(sheet: Sheet, at: int) -> int:
    return max((len(row.cells[at].text) for row in sheet.rows), default=0)


def _words(cell: Cell) -> str | Text:
    return Text(visible(cell.text), "bold red") if cell.worse else cell.text
