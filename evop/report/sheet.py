"""A table as values: built once, then shown on the console, on the page and in the model card."""

from __future__ import annotations

import re
from dataclasses import dataclass

from calibration.visible import visible
from evop.auditing.audit_rows import Range

MARKS = re.compile(r"[\\`*~|$]|\](?=[(\[])|(?<!\w)_|_(?!\w)")
"""What Markdown reads as more than itself in the middle of a line, but for tags."""


@dataclass(frozen=True)
class Cell:
    """One field of a table.

    Attributes:
        text: the words that are shown.
        value: the number that the column is sorted by; None to sort by the words.
        worse: whether it says that a group is worse for more than chance.
    """

    text: str
    value: float | None = None
    worse: bool = False


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        cells: one cell per column.
        domain: the domain that the page can show alone; empty for a line of no domain.
    """

    cells: tuple[Cell, ...]
    domain: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table.

    Attributes:
        title: what the table shows.
        heads: the heads of its columns.
        rows: its lines.
        legend: how to read it.
        names: so many columns, the first ones, hold names; the others hold numbers.
        folded: whether the page shows it only when asked to.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    legend: str = ""
    names: int = 1
    folded: bool = False


def count(value: int) -> Cell:
    """Show a number of things."""
    return Cell(f"{value:,}", value)


def number(value: float | None, digits: int, unit: str = "") -> Cell:
    """Show a number with so many digits after the point, or a dash where there is none."""
    return Cell("–") if value is None else Cell(f"{value:,.{digits}f}{unit}", round(value, 6))


def estimate(value: float, low: float | None, high: float | None, form: str = ".3f") -> Cell:
    """Show a number with its interval.

    Args:
        value: the number.
        low: the lower end of its interval; None where nothing is known of its spread.
        high: the upper end.
        form: how the number is written; the ends are written so too, but without a plus.
    """
    ends = "–" if low is None or high is None else f"{low:{form.lstrip('+')}}, {high:{form.lstrip('+')}}"
    return Cell(f"{value:{form}} [{ends}]", round(value, 6))


def spread(values: Range, scale: float = 1.0, form: str = ".3f") -> Cell:
    """Show the median of several numbers and their range.

    Args:
        values: the numbers.
        scale: what they are multiplied by.
        form: how the median is written; the ends are written so too, but without a plus.
    """
    return estimate(scale * values.median, scale * values.least, scale * values.most, form)


def chance(p: float | None, worse: bool | None) -> Cell:
    """Show a corrected p-value, and whether it makes a group worse for more than chance."""
    return Cell("–") if p is None else Cell(f"{p:.3f}{' worse' if worse else ''}", p, bool(worse))


def markdown(sheet: Sheet) -> str:
    """Write a table in Markdown, names to the left and numbers to the right; without title and legend."""
    marks = ["---"] * sheet.names + ["--:"] * (len(sheet.heads) - sheet.names)
    rows = [tuple(cell.text for cell in row.cells) for row in sheet.rows]
    lines = [[*map(words, sheet.heads)], marks, *([*map(words, row)] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def words(text: str) -> str:
    """Write words in Markdown so that they are read as they are: no tag, no link, no column, no line of their own."""
    text = MARKS.sub(r"\\\g<0>", " ".join(visible(text).split()))
    return text.replace("&", "&amp;").replace("<", "&lt;")


def code(text: str) -> str:
    """Write words in Markdown as code that stands in a line."""
    text = " ".join(visible(text).split())
    return f"`{text}`" if "`" not in text else f"<code>{words(text)}</code>"
