"""The checkpoints of a run: what is chosen is pruned; what its search healed and judged is taken as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from evop.export.draft import drafted
from evop.files.json_file import sha256
from evop.files.names import AUDIT, HEAL, PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.sums import SUMS, refuse_changed
from evop.recipes.cell import Cell
from evop.stages.prune import prune
from evop.stages.run_steps import RunSteps, Step


def checkpoints(steps: RunSteps) -> Iterator[Step]:
    """List a checkpoint of every cell that is chosen; the searches have to be done."""
    for number, (place, cell) in enumerate(steps.chosen.items(), 1):
        head = f"checkpoint {number} of {len(steps.chosen)}: {place.name}, the "
        healed = steps.shipped(cell)
        if healed is None:
            head += f"pattern of {cell.name}"
            pattern = steps.folder.patterns(cell, steps.refits)[-1]
            yield Step(head, _is_whole(steps, place, cell, pattern, (PATTERN,)), _prune(steps, head, place, cell))
        else:
            head += f"healed model of {cell.name}"
            copied = (PATTERN, HEAL, SUMS)
            yield Step(head, _is_whole(steps, place, cell, healed, copied), _take(steps, head, place, cell, healed))


def _prune(steps: RunSteps, head: str, place: Path, cell: Cell) -> Callable[[], None]:
    def do() -> None:
        steps.report(head)
        _clear(place)
        prune(
            steps.recipe.model,
            steps.folder.patterns(cell, steps.refits)[-1],
            place,
            audit=_audit(steps, cell),
            revision=steps.recipe.revision,
            trust_remote_code=steps.recipe.trust_remote_code,
            report=steps.say,
        )

    return do


def _take(steps: RunSteps, head: str, place: Path, cell: Cell, healed: Path) -> Callable[[], None]:
    """Make the copy of a checkpoint that a search has healed and judged, with the audit that measured it."""

    def do() -> None:
        steps.report(head)
        refuse_changed(healed)
        _clear(place)
        with drafted(place, Checkpoint.find(healed).weight_file_bytes) as draft:
            shutil.copytree(healed, draft.folder, dirs_exist_ok=True)
            if (audit := _audit(steps, cell)) is not None:
                shutil.copyfile(audit / AUDIT, draft.folder / AUDIT)
            draft.publish()

    return do


def _is_whole(steps: RunSteps, place: Path, cell: Cell, source: Path, names: tuple[str, ...]) -> Callable[[], bool]:
    """Make the question whether a checkpoint holds the files of its source, and the audit, that there are now."""

    def is_done() -> bool:
        sources = {name: source / name for name in names}
        if (audit := _audit(steps, cell)) is not None:
            sources[AUDIT] = audit / AUDIT
        elif (place / AUDIT).is_file():
            return False
        pairs = [(place / name, source) for name, source in sources.items()]
        return all(copy.is_file() and sha256(copy) == sha256(source) for copy, source in pairs)

    return is_done


def _audit(steps: RunSteps, cell: Cell) -> Path | None:
    """Find the audit of a cell's budget; None where the recipe asks for none."""
    return None if steps.recipe.audit is False else steps.folder.audit(cell.recipe.budget_name)


def _clear(place: Path) -> None:
    """Delete a checkpoint that was written before; what is none stays, and is refused."""
    if (place / PATTERN).is_file():
        shutil.rmtree(place)
