"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evop.errors import EvopError

Model = Annotated[str, typer.Option("--model", help="A Hugging Face folder or hub name.")]
SetFolder = Annotated[Path, typer.Option("--calibration", help="A calibration set's folder.")]
Out = Annotated[Path, typer.Option("--out", help="Where to write; a folder.")]
Seed = Annotated[int, typer.Option(min=0)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps; spread: layers over all GPUs.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
BatchSize = Annotated[str, typer.Option(help="Passages of full length a forward pass, or auto.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub model.")]
Trust = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")]


def number_or_auto(option: str, word: str) -> int | None:
    """Read an option that takes ``auto`` or a number; None for ``auto``.

    Raises:
        EvopError: the word is neither.
    """
    if word == "auto":
        return None
    if not word.isdigit() or int(word) < 1:
        raise EvopError(f"{option} {word}: expected auto or a number from 1 on")
    return int(word)
