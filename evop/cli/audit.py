"""``evop audit``: what the search never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evop.cli.app import console, quiet, say
from evop.cli.options import BatchSize, Device, Dtype, Model, Out, Revision, SetFolder, Trust, number_or_auto


def audit(
    model: Model,
    calibration: SetFolder,
    pattern: Annotated[
        list[Path],
        typer.Option("--pattern", help="A pattern file, a search run, or EvoPress' drop list (.txt); may be repeated."),
    ],
    out: Out,
    max_tokens: Annotated[
        int | None, typer.Option(min=2, help="Tokens of a passage at most; else as searched.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="accuracy, or accuracy_norm: nats a character; else as searched.")
    ] = None,
    speed: Annotated[bool, typer.Option(help="Time the patterns beside the dense model.")] = True,
    needs: Annotated[
        bool, typer.Option(help="Take every part away alone, to see which group needs which layer.")
    ] = True,
    lm_eval: Annotated[
        str | None, typer.Option(help="Tasks of lm-evaluation-harness to run too, commas between, with evop[eval].")
    ] = None,
    lm_eval_path: Annotated[Path | None, typer.Option(help="A folder with task files of your own.")] = None,
    lm_eval_groups: Annotated[
        str | None, typer.Option(help="Column of their documents that names the group; else they are clustered.")
    ] = None,
    lm_eval_limit: Annotated[int | None, typer.Option(min=1, help="Samples of a task at most.")] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    batch_size: BatchSize = "auto",
    revision: Revision = None,
    trust_remote_code: Trust = False,
) -> None:
    """Measure what the search never saw, group by group: dense, pruned, and a random pattern of equal size."""
    from evop.console.audit import print_audit
    from evop.stages.audit import audit as run_audit

    quiet()
    result = run_audit(
        model,
        calibration,
        pattern,
        out,
        report=say,
        max_tokens=max_tokens,
        metric=metric,
        speed=speed,
        needs=needs,
        lm_eval=lm_eval or (),
        lm_eval_path=None if lm_eval_path is None else str(lm_eval_path),
        lm_eval_groups=lm_eval_groups,
        lm_eval_limit=lm_eval_limit,
        device=device,
        dtype=dtype,
        batch_size=number_or_auto("--batch-size", batch_size),
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    print_audit(console, result.file)
    console.print(
        f"report: {out / 'report.html'}   rows: {out / 'audit.csv'}   picture: {out / 'audit.png'}", soft_wrap=True
    )
