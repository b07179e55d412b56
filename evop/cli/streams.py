"""Where a command reads and prints: nowhere, where whoever started it closed that; and any sign, to any terminal."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path


def open_streams() -> None:
    """Lead input, output and errors nowhere, as far as they are closed.

    Else the next file that is opened would get their number, and what a library prints would be written into it. A sign
    that a terminal's encoding lacks is spelt out.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # what is opened takes the lowest number that is free, which is the closed one's
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 (for as long as the process lives)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
