"""A console that prints words as they are: nothing in a name is markup, an emoji or a command to a terminal."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from calibration.visible import visible
from evop.errors import EvopError
from evop.files.lock import is_writing, what_is_safe


class PlainConsole(Console):
    """Prints text; what is to look otherwise is a ``Text`` with a style.

    Every word that rich prints, be it a line, a title or a field of a table, passes through ``render_str``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a renderable of words, as they are."""
        return super().render_str(visible(text), **{**options, "markup": False, "emoji": False})

    def on_broken_pipe(self) -> None:
        """End, for nobody reads any more, as ``head`` does after its lines; what was being written says what is safe.

        Raises:
            EvopError: something was being written.
            SystemExit: nothing was; with the code that a process has which such a signal ends.
        """
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what a library prints on the way out
        if is_writing():
            raise EvopError(f"nobody reads what is printed any more; {what_is_safe()}")
        raise SystemExit(128 + signal.SIGPIPE)
