"""``evop run``: one recipe, every stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evop.cli.app import console, quiet, say
from evop.cli.options import Wait


def run(recipe: Annotated[Path, typer.Argument(help="A recipe in YAML.")], wait: Wait = False) -> None:
    """Do what a recipe says: calibrate, search every cell, audit, prune, export; run it again to go on."""
    from evop.console.comparison import print_comparison
    from evop.console.watching import watching
    from evop.recipes.run import RunRecipe
    from evop.stages.run import run as run_recipe

    RunRecipe.read(recipe)  # says what is wrong before the seconds that importing torch takes
    quiet()
    done = run_recipe(recipe, report=say, watching=lambda: watching(console), wait=wait)
    print_comparison(console, done.table)
    say(f"table: {done.folder / 'comparison.csv'}" + (f"   frontier: {done.picture}" if done.picture else ""))
    for place in done.pruned:
        say(f"checkpoint: {place}")
    for place in done.exported:
        say(f"export: {place}")
