"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str, typer.Option("--model", help="A Hugging Face folder or hub name.")]
SetFolder = Annotated[Path, typer.Option("--calibration", help="A calibration set's folder.")]
Out = Annotated[Path, typer.Option("--out", help="Where to write; a folder.")]
Wait = Annotated[
    bool,
    typer.Option("--wait", help="Wait for whoever writes to the same folder.", rich_help_panel="Other processes"),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps; spread: layers over all GPUs.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub model.")]
Trust = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")]
