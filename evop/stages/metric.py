"""``evop metric``: from a model and a calibration set to the metric whose one ranking loses least."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.errors import EvopError
from evop.files.json_file import sha256
from evop.files.lock import LOCK, Writing
from evop.files.names import METRIC, TRIALS
from evop.fitness.search_evaluator import search_evaluator
from evop.importance import scores_of
from evop.importance.measured import sites_of
from evop.importance.metric_file import MetricFile, MetricFinalist
from evop.importance.statistics import gather
from evop.importance.weights import WeightScores
from evop.losses.objectives import objective_of
from evop.losses.table import pooled
from evop.metrics.methods import TREES, Asked, make_method
from evop.model.checkpoint import Checkpoint
from evop.model.families.family import WEIGHT
from evop.model.loaded import LoadedModel, load_model, wider
from evop.recipes.metric import MetricRecipe
from evop.removal.cut import Cut
from evop.removal.matrices import matrices_of
from evop.removal.pattern_facts import ModelName
from evop.removal.space import pattern_space
from evop.searching.metrics.judge import Judge, Losses, MetricJudge, WeightJudge
from evop.searching.metrics.loop import MetricLoop
from evop.searching.metrics.trial import MetricLog, MetricTrial
from evop.searching.passages import ObjectivePassages, objective_passages
from evop.searching.plan import searched_space
from evop.searching.progress import Progress, Watch, interruptible
from evop.stages.one_error import one_error
from evop.version import __version__
from patterns import FINALISTS, PatternSpace, Stop

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
    watch(Progress("loading"))
    loaded = load_model(checkpoint, recipe.device, recipe.dtype, recipe.trust_remote_code)
    passages = objective_passages(calibration, loaded.tokenizer, recipe.as_search)
    log = _log(folder, _identity(recipe, calibration, loaded, passages))
    watch(Progress("importance"))
    judge = _judge(recipe, loaded, space, passages)
    watch(Progress("dense"))
    dense = {split: judge.losses([Cut()], part)[0] for split, part in _splits(passages).items()}
    groups = tuple(sorted(passages.groups))
    asked = Asked(recipe.seed, of_weights, groups, recipe.opposites, recipe.mutation, recipe.faithful)
    method = make_method(recipe.method, asked)
    stop = Stop(recipe.evaluations, None, recipe.minutes)
    loop = MetricLoop(method, judge, passages.search, dense["search"], log, stop)
    loop.on_trial = lambda trial: watch(Progress("searching", loop.measured, share=stop.share(loop.measured, 0)))
    with interruptible(stop):
        reason = loop.run()
        watch(Progress("selecting", loop.measured))
        answer = _answer(recipe, calibration, loop, passages, dense, reason)
    answer.write(folder / METRIC)
    return MetricFile.read(folder / METRIC)


def _splits(passages: ObjectivePassages) -> dict[str, Any]:
    return {"search": passages.search, "select": passages.select}


def _identity(
    recipe: MetricRecipe, calibration: CalibrationSet, loaded: LoadedModel, passages: ObjectivePassages
) -> dict[str, Any]:
    """List what makes a search of metrics this one and no other; limits, device and batch size are not part of it."""
    how = {"evaluations", "minutes", "device", "batch_size", "dtype", "revision", "trust_remote_code"}
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
        if folder.is_file() or any(found not in (path.with_suffix(".tmp"), folder / LOCK) for found in present):
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


def _judge(recipe: MetricRecipe, loaded: LoadedModel, space: PatternSpace, passages: ObjectivePassages) -> Judge:
    """Gather what the metrics read, in one pass over the search sample."""
    evaluator = search_evaluator(recipe.as_search, loaded, space)
    objective, trees, text = (
        objective_of(recipe.objective, recipe.tail),
        recipe.method in TREES,
        passages.search.as_text(),
    )
    if recipe.grain == WEIGHT:
        matrices = matrices_of(loaded)
        found = evaluator.backoff(
            lambda batch_tokens: WeightScores.gathered(loaded.model, matrices, text, batch_tokens, gradients=trees)
        )
        return WeightJudge(evaluator, objective, recipe.asked, found)
    sites = sites_of(loaded, space, coupled=False)
    statistics = evaluator.backoff(
        lambda batch_tokens: gather(loaded.model, sites, text, batch_tokens, gradients=trees, of_weights=trees)
    )
    scores = scores_of(sites, statistics)
    return MetricJudge(evaluator, objective, recipe.remove, recipe.importance_over, scores, statistics)


def _answer(
    recipe: MetricRecipe,
    calibration: CalibrationSet,
    loop: MetricLoop,
    passages: ObjectivePassages,
    dense: Mapping[str, Losses],
    reason: str,
) -> MetricFile:
    """Measure the best metrics on ``select``, and take the one that is best on both splits.

    Raises:
        EvopError: no metric has a value.
    """
    sound = [trial for trial in loop.trials.values() if trial.measured and not trial.failed]
    if not sound:
        failed = next((trial.failed for trial in loop.trials.values() if trial.failed), f"stopped by {reason}")
        advice = wider(loop.judge.evaluator.loaded.dtype, "remove less")
        raise EvopError(f"no metric has a value ({failed}); give more --evaluations, or {advice}")
    best = sorted(sound, key=lambda trial: trial.value)[:FINALISTS]
    selected = _selected(loop.judge, best, passages)
    finalists = [
        _finalist(loop.judge, trial, losses, passages, dense) for trial, losses in zip(best, selected, strict=True)
    ]
    passes = 3 if recipe.method in TREES else 1
    tokens = {
        "importance": passes * passages.search.total,
        "dense": passages.search.total,
        "trials": sum(trial.tokens for trial in loop.trials.values()),
        "select": (1 + len(best)) * passages.select.total,
    }
    loaded = loop.judge.evaluator.loaded
    return MetricFile(
        version=__version__,
        model=ModelName.of(loaded.checkpoint),
        calibration=calibration.fingerprint,
        metric=min(finalists, key=lambda finalist: (finalist.pooled, finalist.search)).metric,
        **{
            name: getattr(recipe, name) for name in ("method", "grain", "deploy", "remove", "objective", "tail", "seed")
        },
        sparsity=str(recipe.asked) if recipe.grain == WEIGHT else "",
        loss=recipe.loss.name,
        over=recipe.importance_over,
        stopped=reason,
        asked=len(loop.trials),
        evaluations=loop.measured,
        failed=sum(bool(trial.failed) for trial in loop.trials.values()),
        tokens={**tokens, "total": sum(tokens.values())},
        finalists=finalists,
        trials_sha256=sha256(loop.log.path),
    )


def _selected(judge: Judge, best: Sequence[MetricTrial], passages: ObjectivePassages) -> list[Losses]:
    """Measure the best metrics on ``select``, as many together as the judge holds."""
    found: list[Losses] = []
    for first in range(0, len(best), judge.at_once):
        cuts = [judge.cut(trial.metric) for trial in best[first : first + judge.at_once]]
        found += judge.losses([cut for cut in cuts if isinstance(cut, Cut)], passages.select)
    return found


def _finalist(
    judge: Judge, trial: MetricTrial, selected: Losses, passages: ObjectivePassages, dense: Mapping[str, Losses]
) -> MetricFinalist:
    """Judge a finalist on ``select``, and on both splits with every token counted alike."""
    counts = [part.counts_by_group for part in _splits(passages).values()]
    return MetricFinalist(
        metric=str(trial.metric),
        search=trial.value,
        select=judge.value(selected, dense["select"]),
        pooled=judge.value(
            pooled((trial.losses, selected), counts), pooled((dense["search"], dense["select"]), counts)
        ),
    )
