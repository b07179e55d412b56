"""``evop search``: from a model and a calibration set to the pattern that holds up on the worst group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.errors import EvopError
from evop.files.names import CORRECTIONS
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.search import SearchRecipe
from evop.removal.space import THINNED
from evop.searching.folder import SearchRun
from evop.searching.identity import identity_asked
from evop.searching.loop import SearchLoop
from evop.searching.plan import SearchPlan, searched_space
from evop.searching.progress import Progress, Watch
from evop.searching.result import SearchResult
from evop.searching.setup import set_up
from evop.stages.one_error import one_error
from evop.timing.answer_speed import time_answer
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
    if recipe.cost == "latency":
        run.refuse_another({"cost": recipe.cost})
        table = table_of_run(checkpoint, space, recipe, run.folder, run.header, report)
    return run_plan(SearchPlan.of(checkpoint, recipe, space, table), calibration, run, watch, report)


def run_plan(
    plan: SearchPlan, calibration: CalibrationSet, run: SearchRun, watch: Watch, report: Callable[[str], None]
) -> SearchResult:
    """Search what was planned; time the answer where the budget counts time.

    Args:
        plan: what is searched, and how.
        calibration: the calibration set.
        run: the folder of the search.
        watch: is shown the progress.
        report: is given a line where something was chosen for the caller.

    Raises:
        EvopError: a folder that holds another search, or a model that cannot be loaded or measured.
    """
    if plan.choice:
        report(plan.choice)
    run.refuse_another(identity_asked(plan, calibration))
    watch(Progress("loading"))
    recipe = plan.recipe
    dtype = run.header["dtype"] if run.header and recipe.dtype == "auto" else recipe.dtype
    loaded = load_model(plan.checkpoint, recipe.device, dtype, recipe.trust_remote_code)
    _refuse_offloaded(loaded, recipe)
    setup = set_up(plan, calibration, run, loaded, watch)
    result = SearchLoop(recipe, run, setup, watch, report).run_search()
    if plan.table is None or result.interrupted:
        return result
    watch(Progress("timing"))
    cut = result.pattern.cut(run.folder / CORRECTIONS)
    return replace(result, speed=time_answer(run.folder, result.pattern, cut, loaded, plan.table, report))


def _refuse_offloaded(loaded: LoadedModel, recipe: SearchRecipe) -> None:
    """Check that weights which have to be ranked lie in memory.

    Raises:
        EvopError: some were left on the disk, because the model does not fit into the devices.
    """
    if recipe.grain in THINNED and any(weight.is_meta for weight in loaded.model.parameters()):
        raise EvopError(
            f"{loaded.checkpoint.name} does not fit into the devices, and --grain {recipe.grain} needs all its weights "
            "there; use --grain subblock or layer, or --dtype bfloat16"
        )
