"""What the report's page is made of: sections with words, pictures and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from calibration.visible import visible
from evop.report.sheet import Sheet
from evop.report.style import svg


def seen(value: Any) -> Any:
    """Spell out, in what a template shows, the characters that nobody sees; what is HTML already stays as it is."""
    return visible(value) if type(value) is str else value


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        svg: the picture as it stands in the page.
        caption: how to read it; empty where another picture of the section says it.
        title: what the picture shows; empty where the section says it.
    """

    svg: str
    caption: str
    title: str = ""

    @classmethod
    def of(cls, figure: Figure, caption: str, title: str = "") -> Picture:
        """Write a figure as it stands in the page; its title, or else its caption, is for those who cannot see it."""
        return cls(Markup(svg(figure, str(escape(visible(title or caption))))), caption, title)


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        id: the name of the part in the page's address.
        name: the name of the part in the list at the top.
        title: its title.
        words: paragraphs under the title.
        figures: its pictures.
        tables: its tables.
        code: a block to copy; empty where there is none.
        notes: small print at its end.
    """

    id: str
    name: str
    title: str
    words: tuple[str, ...] = ()
    figures: tuple[Picture, ...] = ()
    tables: tuple[Sheet, ...] = ()
    code: str = ""
    notes: tuple[str, ...] = ()
