"""``evop search``: a model and a calibration set in, a pattern out."""

from __future__ import annotations

from typing import Any

from evop.cli.app import console, quiet, say
from evop.cli.options import Model, Out, SetFolder, Wait
from evop.cli.recipe_options import options_of
from evop.files.names import PATTERN
from evop.recipes.search import SearchRecipe


@options_of(SearchRecipe)
def search(model: Model, calibration: SetFolder, out: Out, wait: Wait = False, **options: Any) -> None:
    """Search the pattern whose worst group loses least; run the same command again to go on."""
    SearchRecipe.of(**options)  # says what is wrong before the seconds that importing torch takes
    from evop.console.search import print_answer, print_profile
    from evop.console.watching import watching
    from evop.stages.search import search as run_search

    quiet()
    with watching(console) as watch:
        result = run_search(model, calibration, out, watch=watch, report=say, wait=wait, **options)
    print_answer(console, result)
    if options.get("profile"):
        print_profile(console, result.profile)
    console.print(f"pattern: {out / PATTERN}", soft_wrap=True)
    if result.interrupted:
        raise KeyboardInterrupt
