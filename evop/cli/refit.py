"""``evop refit``: a model and a pattern in, weights that make up for what left out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evop.cli.app import console, quiet, say
from evop.cli.options import Model, Out, SetFolder, Wait
from evop.cli.recipe_options import options_of
from evop.recipes.refit import RefitRecipe


@options_of(RefitRecipe)
def refit(
    model: Model,
    pattern: Annotated[
        Path, typer.Option("--pattern", help="A pattern file, a search run, a drop list (.txt) or a pruned checkpoint.")
    ],
    calibration: SetFolder,
    out: Out,
    wait: Wait = False,
    **options: Any,
) -> None:
    """Refit what a pattern leaves, in closed form, so that it makes up for what left; nothing is trained."""
    RefitRecipe.of(**options)  # says what is wrong before the seconds that importing torch takes
    from evop.console.recovery import print_refit, working
    from evop.stages.refit import refit as run_refit

    quiet()
    with working(console) as watch:
        result = run_refit(model, pattern, calibration, out, report=say, wait=wait, watch=watch, **options)
    print_refit(console, result.file)
    say(f"evop prune --model {model} --pattern {out} writes the checkpoint")
