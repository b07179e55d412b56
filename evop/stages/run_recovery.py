"""The recovery of a run: the answer of every search is refitted, what is pruned is healed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from evop.errors import EvopError
from evop.files.json_file import sha256
from evop.files.names import HEAL, PATTERN, REFIT
from evop.recipes.cell import Cell
from evop.recipes.heal import HealRecipe
from evop.recipes.refit import RefitRecipe
from evop.recovery.heal_file import HealFile
from evop.recovery.refit_file import RefitFile
from evop.stages.heal import heal
from evop.stages.refit import refit
from evop.stages.run_steps import RunSteps, Step, identity


def refits(steps: RunSteps) -> Iterator[Step]:
    """List the refit of every cell's answer; none where the recipe asks for none."""
    if steps.recipe.refit is False:
        return
    recipe, cells = RefitRecipe.of(**steps.recipe.refit, **steps.recipe.execution), steps.recipe.cells
    for number, cell in enumerate(cells, 1):
        head = f"refit {number} of {len(cells)}: {cell.name}"
        yield Step(head, _is_refitted(steps, cell, recipe), _refit(steps, head, cell, recipe))


def heals(steps: RunSteps) -> Iterator[Step]:
    """List the healing of every cell that is chosen; none where the recipe asks for none."""
    if steps.recipe.heal is False:
        return
    recipe = HealRecipe.of(**steps.recipe.heal, **steps.recipe.execution)
    for number, (pruned, cell) in enumerate(steps.chosen.items(), 1):
        place, pattern = steps.folder.healed(pruned), steps.folder.patterns(cell, steps.refits)[-1]
        head = f"healing {number} of {len(steps.chosen)}: {place.name}, the pattern of {cell.name}"
        yield Step(head, _is_healed(steps, place, pattern, recipe), _heal(steps, head, place, pattern, recipe))


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


def _is_refitted(steps: RunSteps, cell: Cell, recipe: RefitRecipe) -> Callable[[], bool]:
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


def _heal(steps: RunSteps, head: str, place: Path, pattern: Path, recipe: HealRecipe) -> Callable[[], None]:
    def do() -> None:
        steps.report(head)
        steps.folder.withdraw_done("heals", place.name)
        shutil.rmtree(place, ignore_errors=True)
        heal(steps.recipe.model, pattern, steps.calibration, place, report=steps.say, **recipe.model_dump())
        steps.folder.add_done("heals", place.name, identity(recipe))

    return do


def _is_healed(steps: RunSteps, place: Path, pattern: Path, recipe: HealRecipe) -> Callable[[], bool]:
    """Make the question whether a checkpoint was healed of the pattern, and by the set, that there are now."""

    def is_done() -> bool:
        if steps.folder.done.heals.get(place.name) != identity(recipe) or not (place / HEAL).is_file():
            return False
        try:
            file = HealFile.read(place / HEAL)
        except EvopError:
            return False
        return (file.pattern_sha256, file.calibration) == (sha256(pattern / PATTERN), steps.calibration.fingerprint)

    return is_done
