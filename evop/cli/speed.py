"""``evop speed``: times a model and what was pruned of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evop.cli.app import console, quiet, say
from evop.cli.options import Device, Dtype, Model, Revision, Trust


def speed(
    model: Model,
    pruned: Annotated[list[Path], typer.Option("--pruned", help="A checkpoint of evop prune; may be repeated.")],
    batch: Annotated[int | None, typer.Option(min=1, help="Sequences side by side; as searched, else 1.")] = None,
    context: Annotated[int | None, typer.Option(min=1, help="Tokens read; as searched, else 512.")] = None,
    decode: Annotated[int | None, typer.Option(min=1, help="Tokens written after; as searched, else 64.")] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    revision: Revision = None,
    trust_remote_code: Trust = False,
    out: Annotated[Path | None, typer.Option(help="Write what was measured to this JSON file.")] = None,
) -> None:
    """Time a model and pruned checkpoints in turns: prefill, decode, cache; predicted beside measured."""
    from evop.console.speed import print_speed
    from evop.stages.speed import speed as run_speed

    quiet()
    timed = run_speed(
        model,
        pruned,
        batch=batch,
        context=context,
        decode=decode,
        device=device,
        dtype=dtype,
        revision=revision,
        trust_remote_code=trust_remote_code,
        out=out,
        report=say,
    )
    print_speed(console, timed)
    if out:
        say(f"speed: {out}")
