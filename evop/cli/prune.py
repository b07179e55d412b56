"""``evop prune``: a model and a pattern in, a smaller checkpoint out; or, of weights alone, one with zeros."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evop.cli.app import quiet, say
from evop.cli.options import Model, Out, Wait
from evop.cli.recipe_options import options_of
from evop.recipes.weights import WeightRecipe


@options_of(WeightRecipe)
def prune(
    model: Model,
    out: Out,
    pattern: Annotated[
        Path | None, typer.Option("--pattern", help="A pattern file, a search run, or EvoPress' drop list (.txt).")
    ] = None,
    grain: Annotated[
        str | None,
        typer.Option(help="weight, instead of a pattern: weights leave one by one; the model gets no smaller."),
    ] = None,
    audit: Annotated[Path | None, typer.Option(help="An audit to put into the model card.")] = None,
    refit: Annotated[
        str,
        typer.Option(
            help="How the weights that stay make up for what left: none, auto, or as of evop refit; of --grain weight, "
            "none or least-squares."
        ),
    ] = "none",
    calibration: Annotated[
        Path | None,
        typer.Option(help="A calibration set: of text to learn from, for --refit; for the metric of --grain weight."),
    ] = None,
    wait: Wait = False,
    **options: Any,
) -> None:
    """Write the smaller checkpoint, and check in a fresh process that it computes what was measured."""
    WeightRecipe.of(**options)  # says what is wrong before the seconds that importing torch takes
    from evop.stages.prune import prune as run_prune

    quiet()
    run_prune(
        model,
        pattern,
        out,
        grain=grain,
        audit=audit,
        refit=refit,
        calibration=calibration,
        report=say,
        wait=wait,
        **options,
    )
