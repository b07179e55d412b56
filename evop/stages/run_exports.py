"""The exports of a run: each checkpoint once more, as another runtime or tool reads it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from evop.export.decilm import refuse_decilm
from evop.export.gguf.write import GgufPlan
from evop.export.source import Source
from evop.files.json_file import sha256
from evop.files.names import PATTERN
from evop.model.checkpoint import Checkpoint
from evop.recipes.export import ExportRecipe
from evop.recipes.run import RunRecipe
from evop.stages.export import export
from evop.stages.run_steps import RunSteps, Step, identity, named

ENDINGS = {"gguf": ".gguf", "mergekit": ".yaml", "decilm": "-decilm", "masked": "-masked"}
"""What an export is called after the checkpoint's name, by its format."""


def exports(steps: RunSteps) -> Iterator[Step]:
    """List the export of every checkpoint; none where the recipe asks for none."""
    if steps.recipe.export is False:
        return
    recipe = asked(steps.recipe)
    for number, (place, source) in enumerate(exported(steps).items(), 1):
        head = f"export {number} of {len(steps.chosen)}: {place.name}"
        yield Step(head, _is_exported(steps, place, source, recipe), _export(steps, head, place, source, recipe))


def exported(steps: RunSteps) -> dict[Path, Path]:
    """Say what is exported: the file or folder that is written -> the checkpoint, or the pattern for mergekit."""
    if steps.recipe.export is False:
        return {}
    kind, found = steps.recipe.export["format"], {}
    for pruned, cell in steps.chosen.items():
        place = pruned if steps.recipe.heal is False else steps.folder.healed(pruned)
        source = steps.folder.search(cell) if kind == "mergekit" else place
        found[place.with_name(f"{place.name}{ENDINGS[kind]}")] = source
    return found


def asked(recipe: RunRecipe) -> ExportRecipe:
    """Build the recipe of an export from that of the run."""
    assert recipe.export is not False, "asked where there are exports"
    running = {name: value for name, value in recipe.execution.items() if name in ExportRecipe.model_fields}
    return ExportRecipe.of(**recipe.export, **running)


def refuse_unwritable(recipe: RunRecipe, checkpoint: Checkpoint) -> None:
    """Refuse, before the hours that a search takes, a format that cannot hold the dense model itself.

    Raises:
        EvopError: its architecture or tokenizer cannot be written, or a package is missing.
    """
    if recipe.export is False:
        return
    wanted = asked(recipe)
    with named("export"):
        if wanted.format == "gguf":
            GgufPlan.of(Source.of_checkpoint(checkpoint), wanted.bits, wanted.quantise)
        elif wanted.format == "decilm":
            refuse_decilm(Source.of_checkpoint(checkpoint))


def _export(steps: RunSteps, head: str, place: Path, source: Path, recipe: ExportRecipe) -> Callable[[], None]:
    def do() -> None:
        steps.report(head)
        steps.folder.withdraw_done("exports", place.name)
        _clear(place)
        export(steps.recipe.model, place, source, report=steps.say, **recipe.model_dump())
        steps.folder.add_done("exports", place.name, _made_of(source, recipe))

    return do


def _is_exported(steps: RunSteps, place: Path, source: Path, recipe: ExportRecipe) -> Callable[[], bool]:
    """Make the question whether an export is there, of the source that there is now."""

    def is_done() -> bool:
        there = place.exists() and (source / PATTERN).is_file()
        return there and steps.folder.done.exports.get(place.name) == _made_of(source, recipe)

    return is_done


def _made_of(source: Path, recipe: ExportRecipe) -> dict[str, Any]:
    """Say what an export was asked for, and of what it was made."""
    weights = "" if recipe.format == "mergekit" else Checkpoint.find(source).fingerprint
    return {**identity(recipe), "pattern": sha256(source / PATTERN), "weights": weights}


def _clear(place: Path) -> None:
    """Delete what was exported before, in this run's own folder."""
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
