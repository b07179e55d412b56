"""``evop search``: a model and a calibration set in, a pattern out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evop.cli.app import console, quiet, say
from evop.cli.options import BatchSize, Device, Dtype, Model, Out, Revision, Seed, SetFolder, Trust, number_or_auto
from evop.files.names import PATTERN
from evop.recipes.search import CACHE_MB, SearchRecipe


def search(
    model: Model,
    calibration: SetFolder,
    out: Out,
    remove: Annotated[float, typer.Option(help="Fraction of the decoder blocks to remove.")] = 0.25,
    grain: Annotated[str, typer.Option(help="layer, subblock, head, channel or mixed.")] = "subblock",
    width_step: Annotated[
        int | None, typer.Option(min=1, help="Widths of thinned MLPs are multiples of it; else up to 256, by size.")
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            help="auto, cma, swap, genetic, greedy, oneshot, policy, exhaustive or random; auto measures every pattern "
            "where there are at most 200, else it is cma."
        ),
    ] = "auto",
    elitism: Annotated[int | None, typer.Option(min=0, help="genetic: so many of the best go over unchanged.")] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Rounds without a better pattern until genetic ends, swap starts anew.")
    ] = None,
    objective: Annotated[str, typer.Option(help="worst, cvar or mean excess over the groups.")] = "worst",
    loss: Annotated[
        str,
        typer.Option(
            help="Of text nll or kl (from the dense model), of tasks accuracy or accuracy_norm; or nll+accuracy."
        ),
    ] = "nll",
    scale: Annotated[
        str, typer.Option(help="none, or random: a group counts in units of what random patterns cost it.")
    ] = "none",
    cost: Annotated[
        str, typer.Option(help="What --remove counts: params, flops, kv or latency: time, measured on this device.")
    ] = "params",
    latency_batch: Annotated[int | None, typer.Option(min=1, help="latency: sequences side by side; else 1.")] = None,
    latency_context: Annotated[
        int | None, typer.Option(min=1, help="latency: tokens read (prefill); else 512, or what the model takes.")
    ] = None,
    latency_decode: Annotated[
        int | None, typer.Option(min=1, help="latency: tokens written after them (decode); else 64.")
    ] = None,
    latency_table: Annotated[
        Path | None, typer.Option(help="latency: a latency.json measured before, or a run that holds one.")
    ] = None,
    deploy: Annotated[str, typer.Option(help="stock: the result is a stock architecture; any: free.")] = "stock",
    protect: Annotated[
        str | None, typer.Option(help="Parts that stay, such as layers.0.attn,layers.11.mlp; or none.")
    ] = None,
    importance: Annotated[
        str,
        typer.Option(
            help="Which units leave first: flap, wanda, taylor, magnitude or random; influence (of whole parts, for "
            "oneshot); auto is flap for heads and channels."
        ),
    ] = "auto",
    importance_over: Annotated[
        str, typer.Option(help="mean over the groups, or worst: the group where a unit matters most.")
    ] = "mean",
    compensate: Annotated[
        str, typer.Option(help="none, or bias: thinned blocks get a bias for what they lost.")
    ] = "none",
    store: Annotated[Path | None, typer.Option(help="Folder in which searches share what they measured.")] = None,
    evaluations: Annotated[
        int | None,
        typer.Option(
            min=1, help="Distinct patterns to measure at most; 400 without a limit, unless the strategy ends by itself."
        ),
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Tokens to score at most, select included.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Minutes to search at most.")] = None,
    bounds: Annotated[
        bool,
        typer.Option(
            help="Measure patterns that are certain not to matter on some groups only; with as many evaluations the "
            "answer is the same."
        ),
    ] = True,
    share: Annotated[
        bool, typer.Option(help="Run what patterns begin with alike once for all of them; the numbers are the same.")
    ] = True,
    cache_mb: Annotated[
        int, typer.Option(min=0, help="Mebibytes of what the dense model's layers put out that are kept at most.")
    ] = CACHE_MB,
    profile: Annotated[bool, typer.Option("--profile", help="Say where the time went, and how much memory.")] = False,
    max_tokens: Annotated[int, typer.Option(min=2, help="Tokens of a passage at most.")] = 512,
    min_group_tokens: Annotated[int, typer.Option(min=1, help="Tokens a group needs to enter the objective.")] = 256,
    min_group_items: Annotated[int, typer.Option(min=1, help="Items a group of a task needs for that.")] = 8,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    batch_size: BatchSize = "auto",
    engine: Annotated[
        str, typer.Option(help="serial, or ray: a round is spread over workers, with evop[ray].")
    ] = "serial",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="ray: so many, each with the model and OMP_NUM_THREADS threads; else all there is room for."
        ),
    ] = None,
    revision: Revision = None,
    trust_remote_code: Trust = False,
) -> None:
    """Search the pattern whose worst group loses least; run the same command again to go on."""
    asked = locals()  # before anything else has a name: options are called as the fields of the recipe
    from evop.console.search import print_answer, print_profile
    from evop.console.watching import watching
    from evop.stages.search import search as run_search

    quiet()
    options = {name: asked[name] for name in SearchRecipe.model_fields if name in asked}
    for path in ("store", "latency_table"):
        options[path] = None if options[path] is None else str(options[path])
    options["batch_size"] = number_or_auto("--batch-size", batch_size)
    with watching(console) as watch:
        result = run_search(model, calibration, out, watch=watch, report=say, **options)
    print_answer(console, result)
    if profile:
        print_profile(console, result.profile)
    console.print(f"pattern: {out / PATTERN}", soft_wrap=True)
