"""What the report's page is made of: sections with words, pictures and tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """A picture, what it is called, and a sentence on how to read it."""

    svg: str
    caption: str
    title: str = ""


@dataclass(frozen=True)
class Cell:
    """What stands in a table, and the number it is sorted by; None to sort by the words."""

    text: str
    value: float | None = None
    worse: bool = False


@dataclass(frozen=True)
class Row:
    """Cells of one line; the domain by which the page leaves it out."""

    cells: tuple[Cell, ...]
    domain: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table; folded away where it is long."""

    name: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """One part of the page; ``name`` is what the list of sections calls it."""

    id: str
    name: str
    title: str
    words: tuple[str, ...] = ()
    figures: tuple[Picture, ...] = ()
    tables: tuple[Sheet, ...] = ()
    code: str = ""
    notes: tuple[str, ...] = ()
