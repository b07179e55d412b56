"""A console that prints words as they are: nothing in a name is markup, an emoji or a command to a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from calibration.visible import visible


class PlainConsole(Console):
    """Prints text; what is to look otherwise is a ``Text`` with a style.

    Every word that rich prints, be it a line, a title or a field of a table, passes through ``render_str``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a renderable of words, as they are."""
        return super().render_str(visible(text), **{**options, "markup": False, "emoji": False})
