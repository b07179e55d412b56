"""The refits of a run: the answer of every search gets weights that make up for what left."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

from evop.errors import EvopError
from evop.files.json_file import sha256
from evop.files.names import PATTERN, REFIT
from evop.recipes.refit import RefitRecipe
from evop.recipes.run import Cell
from evop.recovery.refit_file import RefitFile
from evop.stages.refit import refit
from evop.stages.run_steps import RunSteps, Step, identity


def refits(steps: RunSteps) -> Iterator[Step]:
    """List the refit of every cell's answer; none where the recipe asks for none."""
    if steps.recipe.refit is False:
        return
    recipe, cells = RefitRecipe.of(**steps.recipe.refit, **steps.recipe.execution), steps.recipe.cells
    for number, cell in enumerate(cells, 1):
        head = f"refit {number} of {len(cells)}: {cell.name}"
        yield Step(head, _is_done(steps, cell, recipe), _refit(steps, head, cell, recipe))


def _refit(steps: RunSteps, head: str, cell: Cell, recipe: RefitRecipe) -> Callable[[], None]:
    def do() -> None:
        steps.report(head)
        place = steps.folder.refitted(cell)
        steps.folder.withdraw_done("refits", cell.name)
        shutil.rmtree(place, ignore_errors=True)
        asked = recipe.model_dump()
        refit(steps.recipe.model, steps.folder.search(cell), steps.calibration, place, report=steps.say, **asked)
        steps.folder.add_done("refits", cell.name, identity(recipe))

    return do


def _is_done(steps: RunSteps, cell: Cell, recipe: RefitRecipe) -> Callable[[], bool]:
    """Make the question whether a refit is of the pattern, and of the set, that there are now."""

    def is_done() -> bool:
        place, pattern = steps.folder.refitted(cell), steps.folder.search(cell) / PATTERN
        if steps.folder.done.refits.get(cell.name) != identity(recipe) or not (place / PATTERN).is_file():
            return False
        try:
            file = RefitFile.read(place / REFIT)
        except EvopError:
            return False
        return (file.pattern_sha256, file.calibration) == (sha256(pattern), steps.calibration.fingerprint)

    return is_done
