"""``evop run``: one recipe, every stage; what is done and unchanged is not done again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from calibration import CalibrationSet
from evop.files.csv_file import write_csv
from evop.files.json_file import inside, whole
from evop.files.lock import Writing
from evop.files.names import LATENCY
from evop.model.checkpoint import Checkpoint
from evop.recipes.run import RunRecipe
from evop.recipes.search import SearchRecipe
from evop.recovery.text import LearningText
from evop.report.frontier_plot import draw_frontier
from evop.searching.plan import SearchPlan, searched_space
from evop.searching.progress import Watch
from evop.stages.calibrate import calibrate
from evop.stages.compare import compare
from evop.stages.compare_domains import domain_frame
from evop.stages.one_error import one_error
from evop.stages.run_checkpoints import checkpoints
from evop.stages.run_exports import exported, exports, refuse_unwritable
from evop.stages.run_folder import RunFolder
from evop.stages.run_recovery import heals, refits
from evop.stages.run_set import refuse_another_set
from evop.stages.run_steps import Report, RunSteps, named
from evop.timing.chosen_table import given_or_measured
from evop.timing.table import LatencyTable
from patterns import PatternSpace


@contextmanager
def _unwatched() -> Iterator[Watch]:
    """Show the progress to nobody."""
    yield lambda progress: None


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Attributes:
        folder: the recipe's ``out``.
        table: one row per search, as ``compare`` makes it.
        pruned: folders of the checkpoints.
        exported: files or folders for other runtimes.
        picture: file of the frontier; None where there is one budget or no audit.
    """

    folder: Path
    table: pd.DataFrame
    pruned: tuple[Path, ...]
    exported: tuple[Path, ...]
    picture: Path | None


@one_error
def run(
    recipe: str | Path | RunRecipe,
    *,
    report: Report = lambda line: None,
    watching: Callable[[], AbstractContextManager[Watch]] = _unwatched,
    wait: bool = False,
) -> RunResult:
    """Calibrate, search in every cell, audit every budget, prune, export; run again, it goes on where it was.

    Args:
        recipe: a recipe in YAML, or one built in Python.
        report: is given one line per step.
        watching: opens what is shown the progress of one search.
        wait: whether to wait for another process that runs in the folder; else that is an error.

    Raises:
        EvopError: bad input, an ``out`` that holds something else, or another writer.
        KeyboardInterrupt: a search was stopped by Ctrl-C; what it measured so far is kept.
    """
    written = None if isinstance(recipe, RunRecipe) else Path(recipe)
    recipe = recipe if isinstance(recipe, RunRecipe) else RunRecipe.read(recipe)
    safe = f"what is done is in {recipe.out}, and the same command goes on from there"
    with Writing("run", recipe.out, safe, wait, report).in_place():
        return _run(recipe, written, report, watching)


def _run(
    recipe: RunRecipe,
    written: Path | None,
    report: Report,
    watching: Callable[[], AbstractContextManager[Watch]],
) -> RunResult:
    """Run a recipe, as the only one who writes to its folder."""
    checkpoint = Checkpoint.find(recipe.model, recipe.revision)
    folder = RunFolder(recipe.out)
    cells = {cell.name: _with_store(cell.recipe, folder) for cell in recipe.cells}
    # What cannot be run is refused now, and not after the hours that the searches before it take.
    refuse_unwritable(recipe, checkpoint)
    untimed = _planned(checkpoint, {name: each for name, each in cells.items() if not each.counts_time})
    spaces = _spaces(checkpoint, {name: each for name, each in cells.items() if each.counts_time})
    folder.claim(recipe, written)
    timed = _timed(checkpoint, {name: cells[name] for name in spaces}, spaces, folder, report)
    calibration = _calibrated(recipe, folder, report)
    if recipe.refit is not False or recipe.heal is not False:
        LearningText.refuse_without_text(calibration)  # now, and not after the searches
    steps = RunSteps(recipe, folder, checkpoint, calibration, {**untimed, **timed}, report, watching)
    searched = itertools.chain(steps.searches(), refits(steps), heals(steps))
    for step in itertools.chain(searched, steps.audits(), checkpoints(steps), exports(steps)):
        step.take(report)
    return _concluded(steps)


def _with_store(recipe: SearchRecipe, folder: RunFolder) -> SearchRecipe:
    """Have a search share what it measures with the others of the run, unless its recipe names a store."""
    return recipe.model_copy(update={"store": recipe.store or str(folder.store)})


def _spaces(checkpoint: Checkpoint, cells: Mapping[str, SearchRecipe]) -> dict[str, PatternSpace]:
    """Build the space of every cell, by the cell's name.

    Raises:
        EvopError: a space that the model cannot have; says of which search.
    """
    spaces = {}
    for name, recipe in cells.items():
        with named(f"search {name}"):
            spaces[name] = searched_space(checkpoint, recipe)
    return spaces


def _planned(
    checkpoint: Checkpoint,
    cells: Mapping[str, SearchRecipe],
    spaces: Mapping[str, PatternSpace] | None = None,
    table: LatencyTable | None = None,
) -> dict[str, SearchPlan]:
    """Plan the search of every cell, by the cell's name.

    Raises:
        EvopError: a search that cannot be run; says which.
    """
    spaces = spaces or _spaces(checkpoint, cells)
    plans = {}
    for name, recipe in cells.items():
        with named(f"search {name}"):
            plans[name] = SearchPlan.of(checkpoint, recipe, spaces[name], table)
    return plans


def _timed(
    checkpoint: Checkpoint,
    cells: Mapping[str, SearchRecipe],
    spaces: Mapping[str, PatternSpace],
    folder: RunFolder,
    report: Report,
) -> dict[str, SearchPlan]:
    """Plan the searches by time; the table of times they share is measured once."""
    if not cells:
        return {}
    name, first = next(iter(cells.items()))
    place = inside(first.latency_table, LATENCY) if first.latency_table else folder.latency
    again = {"latency_table": str(place)} if place.is_file() else {}
    table = given_or_measured(checkpoint, spaces[name], first.model_copy(update=again), report)
    if place == folder.latency:
        table.write(place)
    return _planned(checkpoint, cells, spaces, table)


def _concluded(steps: RunSteps) -> RunResult:
    """Write the table, and the frontier where there are several budgets."""
    recipe, folder = steps.recipe, steps.folder
    audits = [] if recipe.audit is False else [folder.audit(budget) for budget in recipe.budgets]
    table = compare([folder.search(cell) for cell in recipe.cells], audits)
    picture = folder.folder / "frontier.png" if audits and len(recipe.budgets) > 1 else None
    with whole(folder.folder / "comparison.csv") as csv:
        write_csv(table, csv)
    if picture:
        with whole(picture) as drawn:
            draw_frontier(table, drawn, domain_frame(table))
    return RunResult(folder.folder, table, tuple(steps.chosen), tuple(exported(steps)), picture)


def _calibrated(recipe: RunRecipe, folder: RunFolder, report: Report) -> CalibrationSet:
    """Load the set that the recipe names, load the one that the run has built, or build one."""
    if isinstance(recipe.calibration, str):
        report(f"calibration set: {recipe.calibration}, as given")
        return CalibrationSet.load(recipe.calibration)
    if folder.set.is_dir():
        kept = CalibrationSet.load(folder.set)
        refuse_another_set(kept.manifest, recipe.calibration, folder.set)
        report(f"calibration set: {folder.set}: done before, unchanged")
        return kept
    report(f"calibration set: {folder.set}")
    return calibrate(recipe.calibration, folder.set, report=lambda line: report(f"  {line}"))
