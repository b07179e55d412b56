"""``evop search``: a model and a calibration set in, a pattern out."""

from __future__ import annotations

from typing import Annotated

import typer

from evop.cli.app import console, quiet
from evop.cli.options import BatchSize, Device, Dtype, Model, Out, Revision, Seed, SetFolder, Trust, number_or_auto


def search(
    model: Model,
    calibration: SetFolder,
    out: Out,
    remove: Annotated[float, typer.Option(help="Fraction of the decoder blocks to remove.")] = 0.25,
    grain: Annotated[str, typer.Option(help="layer or subblock.")] = "subblock",
    strategy: Annotated[str, typer.Option(help="cma, greedy or random.")] = "cma",
    objective: Annotated[str, typer.Option(help="worst, cvar or mean excess over the groups.")] = "worst",
    cost: Annotated[str, typer.Option(help="What --remove counts: params, flops or kv.")] = "params",
    deploy: Annotated[str, typer.Option(help="stock: the result is a stock architecture; any: free.")] = "stock",
    protect: Annotated[
        str | None, typer.Option(help="Parts that stay, such as layers.0.attn,layers.11.mlp; or none.")
    ] = None,
    evaluations: Annotated[
        int | None,
        typer.Option(
            min=1, help="Distinct patterns to measure at most; 400 where no limit is given, but greedy ends by itself."
        ),
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Tokens to score at most, select included.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Minutes to search at most.")] = None,
    max_tokens: Annotated[int, typer.Option(min=2, help="Tokens of a passage at most.")] = 512,
    min_group_tokens: Annotated[int, typer.Option(min=1, help="Tokens a group needs to enter the objective.")] = 256,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    batch_size: BatchSize = "auto",
    revision: Revision = None,
    trust_remote_code: Trust = False,
) -> None:
    """Search the pattern whose worst group loses least; run the same command again to go on."""
    from evop.console import print_search, watching
    from evop.stages.search import search as run_search

    quiet()
    parts = None if protect is None else () if protect == "none" else tuple(protect.split(","))
    with watching(console) as watch:
        result = run_search(
            model,
            calibration,
            out,
            watch=watch,
            remove=remove,
            grain=grain,
            strategy=strategy,
            objective=objective,
            cost=cost,
            deploy=deploy,
            protect=parts,
            evaluations=evaluations,
            tokens=tokens,
            minutes=minutes,
            max_tokens=max_tokens,
            min_group_tokens=min_group_tokens,
            seed=seed,
            device=device,
            dtype=dtype,
            batch_size=number_or_auto("--batch-size", batch_size),
            revision=revision,
            trust_remote_code=trust_remote_code,
        )
    print_search(console, result)
    console.print(f"pattern: {out / 'pattern.json'}", soft_wrap=True)
