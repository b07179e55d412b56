"""The frame of the command line: the Typer app, where it prints, and what every command does first."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from evop.console.plain import PlainConsole
from evop.version import __version__

app = typer.Typer(
    help="Prune a language model so that its worst domain holds up.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
console = PlainConsole(width=None if sys.stdout is not None and sys.stdout.isatty() else 160)


@app.callback()
def _global(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback where something fails.")] = False,
) -> None:
    if version:
        console.print(__version__, highlight=False)
        raise typer.Exit


def say(line: str) -> None:
    """Print one line as it is."""
    console.print(line, highlight=False, soft_wrap=True)


def quiet() -> None:
    """Keep the libraries' own progress bars and warnings off the screen; evop shows its own."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
