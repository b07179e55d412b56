"""``evop search``: from a model and a calibration set to the pattern that holds up on the worst group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.checkpoint import Checkpoint
from evop.corrections import FILE as CORRECTIONS
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.families.parts import pattern_space
from evop.files import sha256
from evop.fitness import Fitness
from evop.importance.of_model import default_importance, refuse_importance
from evop.latency.of_answer import answer_speed, time_answer
from evop.latency.of_run import refuse_options, table_of_run
from evop.latency.speed_file import SpeedFile
from evop.latency.table import LatencyTable
from evop.load import load_model
from evop.objectives import objective_of
from evop.pattern_file import PatternFile
from evop.progress import Progress, ProgressMeter, Watch, interruptible
from evop.recipe import SearchRecipe
from evop.search_answer import Answer
from evop.search_identity import identity_asked
from evop.search_run import FINALISTS, SearchFile, SearchRun
from evop.search_setup import SearchSetup, set_up
from patterns import (
    Budget,
    Effort,
    Measure,
    Measurement,
    Pattern,
    PatternSpace,
    Stop,
    Strategy,
    Trial,
    default_strategy,
    finalists,
    make_strategy,
)
from patterns import search as run_loop

COUNTED = 2000
"""So many patterns are counted before an exhaustive search that was asked for begins."""


@dataclass(frozen=True)
class SearchResult:
    """What a search left behind: its folder, its answer, its account."""

    folder: Path
    pattern: PatternFile
    account: SearchFile
    speed: SpeedFile | None = None
    """Of the answer, predicted beside measured, where the budget counts time."""
    interrupted: bool = False
    """Whether Ctrl-C was pressed, be it after the last trial."""

    @classmethod
    def read(cls, folder: Path) -> SearchResult:
        """A finished run from its folder.

        Raises:
            EvopError: it has not finished, or went on after it had answered.
        """
        pattern, account = PatternFile.find(folder), SearchFile.read(folder / "search.json")
        if sha256(folder / "trials.jsonl") != account.trials_sha256:
            raise EvopError(
                f"{folder}: its trials are not those that search.json answers for; the search went on after it had "
                "answered: run its command again"
            )
        return cls(folder, pattern, account, None if pattern.latency is None else answer_speed(folder))


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
    evaluator = Evaluator.of(loaded, budget.space, recipe.max_tokens, recipe.batch_size, recipe.loss)
    setup = set_up(recipe, given, budget, run, evaluator, watch, table)
    result = _Desk(recipe, run, setup, watch).run_search()
    if table is None or result.interrupted:
        return result
    watch(Progress("timing"))
    cut = result.pattern.cut(run.folder / CORRECTIONS)
    return replace(result, speed=time_answer(run.folder, result.pattern, cut, loaded, table, report))


def asked_space(checkpoint: Checkpoint, recipe: SearchRecipe) -> PatternSpace:
    """The space a search would look in, without times; refuses what needs none to be refused.

    Raises:
        EvopError: an unknown objective, a grain the model cannot have, or a table's options without ``--cost latency``.
        PatternError: an unknown deploy, or a part to protect that is not there.
    """
    objective_of(recipe.objective)
    refuse_options(recipe)
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
    budget = Budget(space if table is None else table.priced(space), recipe.remove, recipe.cost)
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


@dataclass(frozen=True)
class _Desk:
    """One search at work."""

    recipe: SearchRecipe
    run: SearchRun
    setup: SearchSetup
    watch: Watch

    @property
    def fitness(self) -> Fitness:
        """What judges the patterns."""
        return self.setup.fitness

    def run_search(self) -> SearchResult:
        """The loop, then the finalists, then the files."""
        recipe, sample = self.recipe, self.fitness.sample
        strategy = make_strategy(recipe.strategy, self.setup.budget, recipe.seed, **recipe.strategy_options)
        stop = Stop(recipe.most_evaluations(strategy.finishes), recipe.tokens, recipe.minutes)
        aside = self.setup.set_aside
        meter = ProgressMeter(self.fitness, self.setup.labels, stop, aside, self.watch)
        with interruptible(stop):
            reason = run_loop(
                strategy,
                self.setup.budget,
                self.setup.log,
                self._measuring(meter),
                stop,
                efforts=sample.efforts,
                spent=aside,
                on_trial=meter,
            )
            result = self._conclude(strategy, reason)
        return replace(result, interrupted=stop.interrupted)

    def _measuring(self, meter: ProgressMeter) -> Measure:
        number = len(self.setup.log.trials)

        def measure(patterns: list[Pattern], effort: Effort) -> Iterator[Measurement]:
            nonlocal number
            meter.measuring()
            for pattern in patterns:
                begun = time.perf_counter()
                (found,) = self.fitness([pattern], effort)
                self.run.add_seconds(number, time.perf_counter() - begun)
                number += 1
                yield found

        return measure

    def _conclude(self, strategy: Strategy, reason: str) -> SearchResult:
        setup = self.setup
        best = finalists(setup.log.trials, self.fitness.sample.full.passages, FINALISTS)
        completed = [] if best else self._completed(strategy, reason)
        self.watch(Progress("selecting", len({trial.pattern for trial in setup.log.trials})))
        answer = Answer.chosen(self.recipe, setup, reason, best or completed, completed)
        account, pattern = answer.write(self.run)
        return SearchResult(self.run.folder, pattern, account)

    def _completed(self, strategy: Strategy, reason: str) -> list[Trial]:
        """A search stopped before anything met its budget answers with its strategy's completion.

        Raises:
            EvopError: there is nothing to answer with.
        """
        trials = self.setup.log.trials
        if not trials:
            raise EvopError(f"nothing was measured before the search stopped ({reason}); run the same command again")
        pattern = strategy.completion({trial.pattern: trial.value for trial in trials})
        failed = next((t.measurement.failed for t in trials if t.measurement.failed), "not a number")
        if pattern is not None:
            (found,) = self.fitness([pattern])
            if found.failed is None:
                before = sum(trial.measurement.tokens for trial in trials if trial.pattern == pattern)
                found = replace(found, tokens=found.tokens - before)
                return [Trial(-1, pattern, True, self.fitness.sample.full.passages, found)]
        raise EvopError(f"no pattern that meets the budget has a loss ({failed}); use --dtype float32")
