"""``evop search``: from a model and a calibration set to the pattern that holds up on the worst group."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.model.checkpoint import Checkpoint
from evop.recipes.search import SearchRecipe
from evop.searching.folder import SearchRun
from evop.searching.plan import SearchPlan, searched_space
from evop.searching.progress import Watch
from evop.searching.result import SearchResult
from evop.stages.one_error import one_error
from evop.stages.one_search import Searcher
from evop.stages.tolerated import tolerated_search
from evop.timing.chosen_table import table_of_run

__all__ = ["SearchResult", "run_plan", "search"]


@one_error
def search(
    model: str | Path,
    calibration: str | Path | CalibrationSet,
    out: str | Path,
    *,
    watch: Watch = lambda progress: None,
    report: Callable[[str], None] = lambda line: None,
    **options: Any,
) -> SearchResult:
    """Search a pruning pattern; run again on the same folder, it goes on where it was.

    Args:
        model: a Hugging Face folder or hub name.
        calibration: a calibration set or its folder.
        out: the folder of the search.
        watch: is shown the progress.
        report: is given a line where something was chosen for the caller.
        **options: the fields of ``evop.recipes.search.SearchRecipe``.

    Raises:
        EvopError: bad input, a budget that cannot be met, or a folder that holds another search.
    """
    recipe, run = SearchRecipe.of(**options), SearchRun(Path(out))
    calibration = calibration if isinstance(calibration, CalibrationSet) else CalibrationSet.load(calibration)
    checkpoint = Checkpoint.find(model, recipe.revision)
    space, table = searched_space(checkpoint, recipe), None
    if recipe.counts_time:
        run.refuse_another({"cost": recipe.costs})
        table = table_of_run(checkpoint, space, recipe, run.folder, run.header, report)
    return run_plan(SearchPlan.of(checkpoint, recipe, space, table), calibration, run, watch, report)


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
