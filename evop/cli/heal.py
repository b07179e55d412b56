"""``evop heal``: a pruned model learns from the dense one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evop.cli.app import console, quiet, say
from evop.cli.options import Model, Out, SetFolder, Wait
from evop.cli.recipe_options import options_of
from evop.recipes.heal import HealRecipe


@options_of(HealRecipe)
def heal(
    model: Model,
    pattern: Annotated[
        Path,
        typer.Option(
            "--pattern", help="A pruned checkpoint, another tool's alike; or a search run, or a pattern file."
        ),
    ],
    calibration: SetFolder,
    out: Out,
    wait: Wait = False,
    **options: Any,
) -> None:
    """Let a pruned model learn from the dense one, every group watched; run the same command again to go on."""
    HealRecipe.of(**options)  # says what is wrong before the seconds that importing torch takes
    from evop.console.healing import print_healed, watching_healing
    from evop.stages.heal import heal as run_heal

    quiet()
    with watching_healing(console) as watch:
        result = run_heal(model, pattern, calibration, out, watch=watch, report=say, wait=wait, **options)
    print_healed(console, result)
