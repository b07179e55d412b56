"""``evop search``: from a model and a calibration set to the pattern that holds up on the worst group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.engines import refuse_engine
from evop.errors import EvopError
from evop.evaluator import Evaluator, Profile
from evop.files.names import CORRECTIONS
from evop.importance.measured import default_importance, refuse_importance
from evop.losses.objectives import objective_of
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.search import SearchRecipe
from evop.removal.ranking import Ranking
from evop.removal.space import THINNED, pattern_space
from evop.searching.folder import SearchRun
from evop.searching.identity import identity_asked
from evop.searching.loop import SearchLoop
from evop.searching.progress import Progress, Watch
from evop.searching.result import SearchResult
from evop.searching.setup import set_up
from evop.timing.answer_speed import time_answer
from evop.timing.chosen_table import refuse_options, table_of_run
from evop.timing.table import LatencyTable
from patterns import (
    Budget,
    PatternSpace,
    default_strategy,
    make_strategy,
)

__all__ = ["SearchResult", "asked_space", "plan", "search"]

COUNTED = 2000
"""So many patterns are counted before an exhaustive search that was asked for begins."""


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
        out: the run's folder.
        watch: is shown the progress.
        report: is given a line where something was chosen for the caller.
        **options: the fields of ``SearchRecipe``.

    Raises:
        EvopError: bad input, or a folder that holds another search.
        PatternError: a budget that cannot be met, an unknown strategy or deploy.
    """
    recipe = SearchRecipe.of(**options)
    given = calibration if isinstance(calibration, CalibrationSet) else CalibrationSet.load(calibration)
    checkpoint = Checkpoint.find(model, recipe.revision)
    space, run = asked_space(checkpoint, recipe), SearchRun(Path(out))
    table = None
    if recipe.cost == "latency":
        run.refuse_another({"cost": recipe.cost})
        table = table_of_run(checkpoint, space, recipe, run.folder, run.header, report)
    recipe, budget = plan(checkpoint, recipe, report, table)
    run.refuse_another(identity_asked(recipe, given, budget))
    watch(Progress("loading"))
    dtype = run.header["dtype"] if run.header and recipe.dtype == "auto" else recipe.dtype
    loaded = load_model(checkpoint, recipe.device, dtype, recipe.trust_remote_code)
    _refuse_offloaded(loaded, recipe)
    evaluator = Evaluator(
        loaded,
        budget.space,
        Ranking(),
        recipe.max_tokens,
        recipe.batch_size,
        recipe.loss,
        cache_mb=recipe.cache_mb,
        share=recipe.share,
        profile=Profile(exact=recipe.profile),
    )
    setup = set_up(recipe, given, budget, run, evaluator, watch, table)
    result = SearchLoop(recipe, run, setup, watch, report).run_search()
    if table is None or result.interrupted:
        return result
    watch(Progress("timing"))
    cut = result.pattern.cut(run.folder / CORRECTIONS)
    return replace(result, speed=time_answer(run.folder, result.pattern, cut, loaded, table, report))


def asked_space(checkpoint: Checkpoint, recipe: SearchRecipe) -> PatternSpace:
    """The space a search would look in, without times; refuses what needs none to be refused.

    Raises:
        EvopError: an unknown objective, a grain the model cannot have, a table's options without ``--cost latency``, or
            an engine that is not there.
        PatternError: an unknown deploy, or a part to protect that is not there.
    """
    objective_of(recipe.objective)
    refuse_options(recipe)
    refuse_engine(recipe)
    compensate = recipe.compensate == "bias"
    return pattern_space(
        checkpoint, recipe.grain, recipe.deploy, recipe.protect, width_step=recipe.width_step, compensate=compensate
    )


def plan(
    checkpoint: Checkpoint,
    recipe: SearchRecipe,
    report: Callable[[str], None] = lambda line: None,
    table: LatencyTable | None = None,
) -> tuple[SearchRecipe, Budget]:
    """What a search would look for and how, every ``auto`` of it decided; loads no weights.

    Args:
        checkpoint: the model.
        recipe: what was asked.
        report: is given a line where something was chosen.
        table: what the parts take, where the budget counts time.

    Raises:
        EvopError: an unknown objective, or a grain or importance the model cannot have.
        PatternError: a budget that cannot be met, an unknown strategy or deploy.
    """
    space = asked_space(checkpoint, recipe)
    budget = Budget(space if table is None else table.timed(space), recipe.remove, recipe.cost)
    recipe = _resolved(recipe, budget, report)
    make_strategy(recipe.strategy, budget, recipe.seed, **recipe.strategy_options)  # refuses what it does not take
    return recipe, budget


def _resolved(recipe: SearchRecipe, budget: Budget, report: Callable[[str], None]) -> SearchRecipe:
    """The recipe with every ``auto`` of what is searched, and how, decided."""
    chosen: dict[str, str] = {}
    if recipe.strategy == "auto":
        chosen["strategy"], why = default_strategy(budget)
        report(f"strategy {chosen['strategy']}: {why}")
    elif recipe.strategy == "exhaustive":
        few = budget.few(COUNTED)
        report(
            f"strategy exhaustive: {f'more than {COUNTED:,}' if few is None else f'{len(few):,}'} patterns to measure"
        )
    if recipe.importance == "auto":
        chosen["importance"] = default_importance(budget.space.grain)
    recipe = recipe.model_copy(update=chosen)
    refuse_importance(recipe.importance, budget.space.grain, recipe.importance_over)
    return recipe


def _refuse_offloaded(loaded: LoadedModel, recipe: SearchRecipe) -> None:
    if recipe.grain in THINNED and any(weight.is_meta for weight in loaded.model.parameters()):
        raise EvopError(
            f"{loaded.checkpoint.name} does not fit into the devices, and --grain {recipe.grain} needs all its weights "
            "there; use --grain subblock or layer, or --dtype bfloat16"
        )
