"""``evop search``: from a model and a calibration set to the pattern that holds up on the worst group."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.checkpoint import Checkpoint
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.families.parts import pattern_space
from evop.files import sha256
from evop.fitness import Fitness, dense_losses
from evop.load import load_model
from evop.objective_passages import ObjectivePassages, objective_passages
from evop.objectives import objective_of
from evop.pattern_file import Claim, ModelName, Origin, PatternFile
from evop.progress import Progress, ProgressMeter, Watch, interruptible
from evop.recipe import DEFAULT_EVALUATIONS, SearchRecipe
from evop.search_run import Finalist, SearchFile, SearchRun
from evop.version import __version__
from patterns import Budget, Measurement, Pattern, Stop, Strategy, Trial, TrialLog, finalists, make_strategy
from patterns import search as run_loop

FINALISTS = 8


@dataclass(frozen=True)
class SearchResult:
    """What a search left behind: its folder, its answer, its account."""

    folder: Path
    pattern: PatternFile
    account: SearchFile

    @classmethod
    def read(cls, folder: Path) -> SearchResult:
        """A finished run from its folder."""
        return cls(folder, PatternFile.find(folder), SearchFile.read(folder / "search.json"))


def search(
    model: str | Path,
    calibration: str | Path | CalibrationSet,
    out: str | Path,
    *,
    watch: Watch = lambda progress: None,
    **options: Any,
) -> SearchResult:
    """Search a pruning pattern; run again on the same folder, it goes on where it was.

    Args:
        model: a Hugging Face folder or hub name.
        calibration: a calibration set or its folder.
        out: the run's folder.
        watch: is shown the progress.
        **options: the fields of ``SearchRecipe``.

    Raises:
        EvopError: bad input, or a folder that holds another search.
        PatternError: a budget that cannot be met, an unknown strategy or deploy.
    """
    recipe = SearchRecipe.of(**options)
    objective_of(recipe.objective)
    given = calibration if isinstance(calibration, CalibrationSet) else CalibrationSet.load(calibration)
    checkpoint = Checkpoint.find(model, recipe.revision)
    space = pattern_space(checkpoint, recipe.grain, recipe.deploy, recipe.protect)
    budget = Budget(space, recipe.remove, recipe.cost)
    strategy = make_strategy(recipe.strategy, budget, recipe.seed)
    watch(Progress("loading"))
    bench = _Bench.set_up(recipe, checkpoint, given, budget, SearchRun(Path(out)), watch)
    return bench.run(strategy)


@dataclass
class _Bench:
    """Everything one search works with."""

    recipe: SearchRecipe
    checkpoint: Checkpoint
    calibration: CalibrationSet
    budget: Budget
    folder: SearchRun
    passages: ObjectivePassages
    evaluator: Evaluator
    fitness: Fitness
    log: TrialLog
    watch: Watch
    labels: dict[str, str]
    _timed: list[tuple[int, float]] = field(default_factory=list)

    @classmethod
    def set_up(
        cls,
        recipe: SearchRecipe,
        checkpoint: Checkpoint,
        calibration: CalibrationSet,
        budget: Budget,
        folder: SearchRun,
        watch: Watch,
    ) -> _Bench:
        """Load the model, read the passages, measure the dense model, open the log."""
        loaded = load_model(checkpoint, recipe.device, recipe.dtype, recipe.trust_remote_code)
        passages = objective_passages(calibration, loaded.tokenizer, recipe.max_tokens, recipe.min_group_tokens)
        evaluator = Evaluator(loaded, budget.space, recipe.max_tokens, recipe.batch_size)
        identity = _identity(recipe, calibration, budget, loaded.dtype, passages)
        before = folder.logged_header()
        watch(Progress("dense"))
        dense = before["dense"] if before else dense_losses(evaluator, passages.search)
        log = folder.log({**identity, "dense": dense})
        fitness = Fitness(evaluator, passages.search, objective_of(recipe.objective), dense)
        labels = {group.key: group.label for group in calibration.groups}
        return cls(recipe, checkpoint, calibration, budget, folder, passages, evaluator, fitness, log, watch, labels)

    def run(self, strategy: Strategy) -> SearchResult:
        """The loop, then the finalists, then the files."""
        recipe = self.recipe
        stop = Stop(
            recipe.evaluations or (None if recipe.limited else DEFAULT_EVALUATIONS), recipe.tokens, recipe.minutes
        )
        a_pattern = int(self.passages.search.scored.sum())
        aside = a_pattern + (1 + FINALISTS) * int(self.passages.select.scored.sum())
        meter = ProgressMeter(self.fitness, self.labels, stop, aside, self.watch)
        with interruptible(stop):
            reason = run_loop(
                strategy,
                self.budget,
                self.log,
                self._measure,
                stop,
                effort=len(self.passages.search.ids),
                tokens_a_pattern=a_pattern,
                spent=aside,
                on_trial=meter,
            )
            self.folder.add_seconds(*map(list, zip(*self._timed, strict=True))) if self._timed else None
            return self._conclude(strategy, reason)

    def _measure(self, patterns: list[Pattern]) -> Iterator[Measurement]:
        for pattern in patterns:
            begun = time.perf_counter()
            (found,) = self.fitness([pattern])
            self._timed.append((len(self.log.trials) + len(self._timed), time.perf_counter() - begun))
            yield found

    def _conclude(self, strategy: Strategy, reason: str) -> SearchResult:
        best = finalists(self.log.trials, FINALISTS) or self._completed(strategy)
        self.watch(Progress("selecting", len(self.log.trials), best[0].value if best else None))
        if not best:
            failed = next((t.measurement.failed for t in self.log.trials if t.measurement.failed), "none was measured")
            raise EvopError(f"no pattern that meets the budget has a loss ({failed}); use --dtype float32")
        select = Fitness.on(self.evaluator, self.passages.select, self.fitness.objective)
        measured = list(select([trial.pattern for trial in best]))
        at = min(range(len(best)), key=lambda i: (measured[i].value, best[i].value))
        tokens = {
            "dense": int(self.passages.search.scored.sum()),
            "trials": sum(trial.measurement.tokens for trial in self.log.trials),
            "select": (1 + len(best)) * int(self.passages.select.scored.sum()),
        }
        tokens["total"] = sum(tokens.values())
        account = SearchFile(
            version=__version__,
            model=ModelName.of(self.checkpoint),
            calibration=self.calibration.fingerprint,
            stopped=reason,
            evaluations=len(self.log.trials),
            tokens=tokens,
            seconds=round(self.folder.seconds(), 2),
            groups={key: self.labels[key] for key in self.passages.groups},
            left_out=dict(self.passages.left_out),
            finalists=[
                Finalist(removed=list(self.budget.space.names(trial.pattern)), search=trial.value, select=found.value)
                for trial, found in zip(best, measured, strict=True)
            ],
            trials_sha256=sha256(self.log.path),
        )
        pattern = self._pattern_file(best[at], measured[at], select, account)
        pattern.write(self.folder.folder / "pattern.json")
        account.write(self.folder.folder / "search.json")
        return SearchResult(self.folder.folder, pattern, account)

    def _completed(self, strategy: Strategy) -> list[Trial]:
        """A search stopped before anything met its budget answers with its strategy's completion."""
        pattern = strategy.completion({trial.pattern: trial.value for trial in self.log.trials})
        if pattern is None:
            return []
        (found,) = self.fitness([pattern])
        return [Trial(-1, pattern, True, len(self.passages.search.ids), found)] if found.failed is None else []

    def _pattern_file(self, trial: Trial, on_select: Measurement, select: Fitness, account: SearchFile) -> PatternFile:
        excess = select.excess(on_select)
        origin = Origin(
            strategy=self.recipe.strategy,
            objective=self.recipe.objective,
            seed=self.recipe.seed,
            evaluations=account.evaluations,
            tokens=account.tokens["total"],
            stopped=account.stopped,
            max_tokens=self.recipe.max_tokens,
            calibration=self.calibration.fingerprint,
            trials_sha256=account.trials_sha256,
        )
        claim = Claim(
            search=trial.value,
            select=on_select.value,
            worst_group=max(excess, key=lambda group: excess[group]),
            select_excess=excess,
        )
        return PatternFile.describe(self.checkpoint, self.budget, trial.pattern, origin, claim)


def _identity(
    recipe: SearchRecipe, calibration: CalibrationSet, budget: Budget, dtype: str, passages: ObjectivePassages
) -> dict[str, Any]:
    """What makes a search this search and no other; limits, device and batch size are not part of it."""
    space = budget.space
    return {
        "space": space.fingerprint,
        "calibration": calibration.fingerprint,
        "grain": space.grain,
        "deploy": space.deploy,
        "protected": sorted(space.protected),
        "remove": budget.remove,
        "cost": budget.cost,
        "strategy": recipe.strategy,
        "seed": recipe.seed,
        "objective": recipe.objective,
        "loss": "nll",
        "dtype": dtype,
        "max_tokens": recipe.max_tokens,
        "min_group_tokens": recipe.min_group_tokens,
        "parts": [part.name for part in space.parts],
        "groups": list(passages.groups),
    }
