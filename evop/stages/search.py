"""``evop search``: from a model and a calibration set to the pattern that holds up on the worst group."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.files.lock import Writing
from evop.files.names import POINTS
from evop.model.checkpoint import Checkpoint
from evop.recipes.search import SearchRecipe
from evop.searching.folder import SearchRun, refuse_another_kind
from evop.searching.plan import SearchPlan, searched_space
from evop.searching.progress import Watch
from evop.searching.result import SearchResult
from evop.stages.one_error import one_error
from evop.stages.one_search import Searcher
from evop.stages.tolerated import tolerated_search
from evop.timing.chosen_table import table_of_run
from evop.timing.table import LatencyTable
from patterns import PatternSpace

__all__ = ["SearchResult", "alone", "run_plan", "search"]


@one_error
def search(
    model: str | Path,
    calibration: str | Path | CalibrationSet,
    out: str | Path,
    *,
    watch: Watch = lambda progress: None,
    report: Callable[[str], None] = lambda line: None,
    wait: bool = False,
    **options: Any,
) -> SearchResult:
    """Search a pruning pattern; run again on the same folder, it goes on where it was.

    Args:
        model: a Hugging Face folder or hub name.
        calibration: a calibration set or its folder.
        out: the folder of the search.
        watch: is shown the progress.
        report: is given a line where something was chosen for the caller.
        wait: whether to wait for another process that writes to the folder; else that is an error.
        **options: the fields of ``evop.recipes.search.SearchRecipe``.

    Raises:
        EvopError: bad input, a budget that cannot be met, a folder that holds another search, or another writer.
    """
    recipe, run = SearchRecipe.of(**options), SearchRun(Path(out))
    with alone(run, wait, report):
        calibration = CalibrationSet.opened(calibration)
        checkpoint = Checkpoint.find(model, recipe.revision)
        space = searched_space(checkpoint, recipe)
        table = _times(checkpoint, space, recipe, run, report) if recipe.counts_time else None
        return run_plan(SearchPlan.of(checkpoint, recipe, space, table), calibration, run, watch, report)


def _times(
    checkpoint: Checkpoint, space: PatternSpace, recipe: SearchRecipe, run: SearchRun, report: Callable[[str], None]
) -> LatencyTable:
    """Choose the table of times, and measure it if need be; budgets of a search by tolerances share one.

    Raises:
        EvopError: a folder that holds something else, or a table that does not fit.
    """
    if not recipe.seeks_largest:
        run.refuse_another({"cost": recipe.costs})
        return table_of_run(checkpoint, space, recipe, run.folder, run.header, report)
    refuse_another_kind(run.folder)
    # Such a search has a log for every budget and none of its own: its table is kept before the first of them begins.
    begun = run.latency.is_file() or (run.folder / POINTS).is_dir()
    table = table_of_run(checkpoint, space, recipe, run.folder, {} if begun else None, report)
    if not begun:
        run.folder.mkdir(parents=True, exist_ok=True)
        table.write(run.latency)
    return table


def alone(run: SearchRun, wait: bool, report: Callable[[str], None]) -> AbstractContextManager[None]:
    """Be the only one who searches in a folder.

    Raises:
        EvopError: another process does.
    """
    safe = f"what was measured is in {run.folder}, and the same command goes on from there"
    return Writing("search", run.folder, safe, wait, report).in_place()


def run_plan(
    plan: SearchPlan, calibration: CalibrationSet, run: SearchRun, watch: Watch, report: Callable[[str], None]
) -> SearchResult:
    """Search what was planned: at one budget, or at several until the largest within what is tolerated is known.

    Args:
        plan: what is searched, and how.
        calibration: the calibration set.
        run: the folder of the search.
        watch: is shown the progress.
        report: is given a line where something was chosen for the caller.

    Raises:
        EvopError: a folder that holds another search, or a model that cannot be loaded or measured.
    """
    if plan.recipe.seeks_largest:
        return tolerated_search(plan, calibration, run.folder, watch, report)
    return Searcher(calibration, watch, report).search(plan, run)
