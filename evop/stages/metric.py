"""``evop metric``: from a model and a calibration set to the metric whose one ranking loses least."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.errors import EvopError
from evop.files.lock import LOCK, Writing
from evop.files.names import LAYER_TRIALS, METRIC, TRIALS
from evop.fitness.search_evaluator import search_evaluator
from evop.importance import scores_of
from evop.importance.measured import sites_of
from evop.importance.metric_file import MetricFile
from evop.importance.scores import SiteScores
from evop.importance.statistics import Statistics, gather
from evop.importance.weights import WeightScores
from evop.losses.objectives import objective_of
from evop.metrics.methods import TREES, Asked, LayerMethod, make_layer_method, make_method
from evop.metrics.metric import Metric
from evop.model.checkpoint import Checkpoint
from evop.model.families.family import WEIGHT
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.metric import MetricRecipe
from evop.removal.cut import Cut
from evop.removal.matrices import matrices_of
from evop.removal.space import pattern_space
from evop.searching.metrics.answer import MetricAnswer
from evop.searching.metrics.judge import Judge, MetricJudge, WeightJudge
from evop.searching.metrics.layers import LayerLog, LayerLoop
from evop.searching.metrics.loop import MetricLoop
from evop.searching.metrics.trial import MetricLog
from evop.searching.passages import ObjectivePassages, objective_passages
from evop.searching.plan import searched_space
from evop.searching.progress import Progress, Watch, interruptible
from evop.stages.one_error import one_error
from evop.tokens.draws import drawn
from patterns import Budget, PatternSpace, Stop

__all__ = ["search_metric"]


@one_error
def search_metric(
    model: str | Path,
    calibration: str | Path | CalibrationSet,
    out: str | Path,
    *,
    watch: Watch = lambda progress: None,
    report: Callable[[str], None] = lambda line: None,
    wait: bool = False,
    **options: Any,
) -> MetricFile:
    """Search a metric; run again on the same folder, it goes on where it was.

    Args:
        model: a Hugging Face folder or hub name.
        calibration: a calibration set or its folder.
        out: the folder of the search; ``evop search --importance`` takes it.
        watch: is shown the progress.
        report: is given a line where a person would like to know something.
        wait: whether to wait for another process that writes to the folder; else that is an error.
        **options: the fields of ``evop.recipes.metric.MetricRecipe``.

    Raises:
        EvopError: bad input, a budget that cannot be met, a package that is not installed, a folder that holds
            another search, or another writer.
    """
    recipe, folder = MetricRecipe.of(**options), Path(out)
    safe = f"what was measured is in {folder / TRIALS}, and the same command goes on from there"
    with Writing("metric", folder, safe, wait, report).in_place():
        return _searched(recipe, model, calibration, folder, watch)


def _searched(
    recipe: MetricRecipe, model: str | Path, calibration: str | Path | CalibrationSet, folder: Path, watch: Watch
) -> MetricFile:
    """Search, as the only one who writes to the folder."""
    calibration = CalibrationSet.opened(calibration)
    checkpoint = Checkpoint.find(model, recipe.revision)
    of_weights = recipe.grain == WEIGHT
    space = pattern_space(checkpoint, WEIGHT) if of_weights else searched_space(checkpoint, recipe.as_search)
    make_method(recipe.method, Asked(recipe.seed))  # says what is missing before the weights are read
    layers = int(checkpoint.resolved.num_hidden_layers)
    of_layers = make_layer_method(recipe.remove, layers, recipe.seed) if recipe.layers else None
    watch(Progress("loading"))
    loaded = load_model(checkpoint, recipe.device, recipe.dtype, recipe.trust_remote_code)
    passages = objective_passages(calibration, loaded.tokenizer, recipe.as_search)
    judge = _judge(recipe, loaded, space, passages, lambda: watch(Progress("statistics")))
    identity = _identity(recipe, calibration, loaded, passages)
    log = _log(folder, identity)
    watch(Progress("dense"))
    splits = {"search": passages.search, "select": passages.select}
    dense = {split: judge.losses([Cut()], part)[0] for split, part in splits.items()}
    groups = tuple(sorted(passages.groups))
    asked = Asked(recipe.seed, of_weights, groups, recipe.opposites, recipe.mutation, recipe.faithful)
    method = make_method(recipe.method, asked)
    stop = Stop(recipe.evaluations, None, recipe.minutes)
    loop = MetricLoop(method, judge, passages.search, dense["search"], log, stop)
    loop.on_trial = lambda trial: watch(Progress("searching", loop.measured, share=stop.share(loop.measured, 0)))
    with interruptible(stop):
        reason = loop.run()
        watch(Progress("selecting", loop.measured))
        answer = MetricAnswer(recipe, calibration, loop, passages, dense)
        found = answer.file(reason)
    if of_layers is not None and not stop.interrupted:
        found = _with_layers(found, answer, of_layers, identity, watch)
    found.write(folder / METRIC)
    return MetricFile.read(folder / METRIC)


def _with_layers(
    found: MetricFile, answer: MetricAnswer, method: LayerMethod, identity: Mapping[str, Any], watch: Watch
) -> MetricFile:
    """Search shares of layers for the metric that was found, as long as that was searched for."""
    recipe, before = answer.recipe, answer.loop
    assert isinstance(before.judge, WeightJudge)
    log = LayerLog.of(before.log.path.with_name(LAYER_TRIALS), {**identity, "metric": found.metric})
    stop = Stop(recipe.evaluations, None, recipe.minutes)
    metric = Metric.parse(found.metric)
    loop = LayerLoop(method, before.judge, metric, before.passages, before.dense, log, stop)
    loop.on_trial = lambda trial: watch(Progress("searching", len(loop.trials), share=stop.share(len(loop.trials), 0)))
    with interruptible(stop):
        loop.run()
        watch(Progress("selecting", len(loop.trials)))
        return answer.with_layers(found, loop)


def _identity(
    recipe: MetricRecipe, calibration: CalibrationSet, loaded: LoadedModel, passages: ObjectivePassages
) -> dict[str, Any]:
    """List what makes a search of metrics this one and no other; limits, device and what follows do not."""
    how = {"evaluations", "minutes", "layers", "device", "batch_size", "dtype", "revision", "trust_remote_code"}
    return {
        "model": loaded.checkpoint.fingerprint,
        "calibration": calibration.fingerprint,
        **recipe.model_dump(mode="json", exclude=how),
        "dtype": loaded.dtype,
        "search_tokens": passages.search.fingerprint,
    }


def _log(folder: Path, identity: Mapping[str, Any]) -> MetricLog:
    """Open the log of a folder, or begin one.

    Raises:
        EvopError: the folder holds another search, or something else.
    """
    path = folder / TRIALS
    if not path.is_file():
        present = folder.iterdir() if folder.is_dir() else []
        if any(found not in (path.with_suffix(".tmp"), folder / LOCK) for found in present):
            raise EvopError(f"--out {folder} is not empty and holds no search of metrics; choose a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        return MetricLog.create(path, identity)
    log = MetricLog.open(path)
    for key, value in identity.items():
        if log.header.get(key) != value:
            raise EvopError(
                f"--out {folder} holds another search: its {key} is {log.header.get(key)}, this one's is {value}; "
                "choose a new folder, or repeat the first command to go on with it"
            )
    return log


def _judge(
    recipe: MetricRecipe,
    loaded: LoadedModel,
    space: PatternSpace,
    passages: ObjectivePassages,
    gathering: Callable[[], None],
) -> Judge:
    """Say how metrics are judged; what they read is gathered once for every draw, in one pass over its passages.

    ``gathering`` is told before each pass.

    Raises:
        EvopError: weights that cannot leave so.
        PatternError: a budget that cannot be met.
    """
    evaluator, model = search_evaluator(recipe.as_search, loaded, space), loaded.model
    objective, trees, text = (
        objective_of(recipe.objective, recipe.tail),
        recipe.method in TREES,
        passages.search.as_text(),
    )
    if recipe.grain == WEIGHT:
        matrices, asked = matrices_of(loaded), recipe.asked
        for matrix in matrices:
            asked.refuse_rows(matrix.weight.shape[1], matrix.key)

        @cache
        def of_weights(draw: str) -> WeightScores:
            gathering()
            some = drawn(text, draw)
            return evaluator.backoff(
                lambda tokens: WeightScores.gathered(model, matrices, some, tokens, gradients=trees)
            )

        return WeightJudge(evaluator, objective, asked, matrices, of_weights)
    sites = sites_of(loaded, space, coupled=False)
    Budget(space, recipe.remove)  # refuses one that cannot be met, before anything is written

    @cache
    def of_units(draw: str) -> tuple[list[SiteScores], Statistics]:
        gathering()
        some = drawn(text, draw)
        found = evaluator.backoff(lambda tokens: gather(model, sites, some, tokens, gradients=trees, of_weights=trees))
        return scores_of(sites, found), found

    return MetricJudge(evaluator, objective, recipe.remove, recipe.importance_over, of_units)
