"""``evop search``: from a model and a calibration set to the pattern that holds up on the worst group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.checkpoint import Checkpoint
from evop.errors import EvopError
from evop.evaluator import Evaluator, Profile
from evop.evaluator.evaluator import nothing
from evop.families.parts import pattern_space
from evop.files import sha256
from evop.fitness import Fitness
from evop.importance.of_model import default_importance, refuse_importance
from evop.load import load_model
from evop.objectives import objective_of
from evop.orders import Orders
from evop.pattern_file import PatternFile
from evop.progress import Progress, ProgressMeter, Watch, interruptible
from evop.recipe import SearchRecipe
from evop.search_answer import Answer
from evop.search_identity import identity_asked
from evop.search_run import SearchFile, SearchRun
from evop.search_setup import SearchSetup, set_up
from patterns import (
    Budget,
    Measure,
    Measurement,
    Pattern,
    Request,
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
    interrupted: bool = False
    """Whether Ctrl-C was pressed, be it after the last trial."""
    profile: Profile = field(default_factory=Profile)
    """Where this process' time went."""

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
        return cls(folder, pattern, account)


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
    recipe, budget = plan(checkpoint, recipe, report)
    run = SearchRun(Path(out))
    run.refuse_another(identity_asked(recipe, given, budget))
    watch(Progress("loading"))
    dtype = run.header["dtype"] if run.header and recipe.dtype == "auto" else recipe.dtype
    loaded = load_model(checkpoint, recipe.device, dtype, recipe.trust_remote_code)
    evaluator = Evaluator(
        loaded,
        budget.space,
        Orders(),
        recipe.max_tokens,
        recipe.batch_size,
        recipe.loss,
        cache_mb=recipe.cache_mb,
        profile=Profile(exact=recipe.profile),
    )
    return _Desk(recipe, run, set_up(recipe, given, budget, run, evaluator, watch), watch).run_search()


def plan(
    checkpoint: Checkpoint, recipe: SearchRecipe, report: Callable[[str], None] = lambda line: None
) -> tuple[SearchRecipe, Budget]:
    """What a search would look for and how, every ``auto`` of it decided; loads no weights.

    Raises:
        EvopError: an unknown objective, or a grain or importance the model cannot have.
        PatternError: a budget that cannot be met, an unknown strategy or deploy.
    """
    objective_of(recipe.objective)
    compensate = recipe.compensate == "bias"
    space = pattern_space(
        checkpoint, recipe.grain, recipe.deploy, recipe.protect, width_step=recipe.width_step, compensate=compensate
    )
    budget = Budget(space, recipe.remove, recipe.cost)
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


class _Stopped(Exception):  # noqa: N818 - not an error
    """A limit was reached, or Ctrl-C pressed, between two batches."""


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
                self._measuring(meter, stop),
                stop,
                efforts=sample.efforts,
                spent=aside,
                bounds=recipe.bounds,
                on_trial=meter,
            )
            result = self._conclude(strategy, reason)
        return replace(result, interrupted=stop.interrupted, profile=sample.evaluator.profile)

    def _measuring(self, meter: ProgressMeter, stop: Stop) -> Measure:
        log, evaluator = self.setup.log, self.fitness.sample.evaluator

        def tick() -> None:
            if stop.over:
                raise _Stopped

        def measure(request: Request) -> Iterator[Measurement]:
            meter.measuring()
            begun, evaluator.tick = time.perf_counter(), tick
            before = [trial for trial in log.trials if trial.round < request.round]
            order = self.fitness.worst_first(before)
            try:
                found = list(self.fitness(request.patterns, request.effort, request.bounds, order))
            except _Stopped:
                return
            finally:
                evaluator.tick = nothing
                self.run.add_seconds(request.round, len(request.patterns), time.perf_counter() - begun)
            yield from found

        return measure

    def _conclude(self, strategy: Strategy, reason: str) -> SearchResult:
        setup = self.setup
        best = finalists(setup.log.trials, self.fitness.sample.full.passages)
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
        values, finishing = self._whole_values(trials)
        pattern = strategy.completion(values)
        failed = next((t.measurement.failed for t in trials if t.measurement.failed), "not a number")
        if pattern is not None:
            (found,) = self.fitness([pattern])
            if found.failed is None:
                before = sum(trial.measurement.tokens for trial in trials if trial.pattern == pattern)
                found = replace(found, tokens=found.tokens - before + finishing)
                return [Trial(-1, pattern, True, self.fitness.sample.full.passages, found)]
        raise EvopError(f"no pattern that meets the budget has a loss ({failed}); use --dtype float32")

    def _whole_values(self, trials: Sequence[Trial]) -> tuple[dict[Pattern, float], int]:
        """The last value of each pattern, and the tokens it took to know those that were cut in the last two rounds.

        A completion ranks what did not matter to the strategy. Where tokens are limited it has to do with "at least".
        """
        last = {trial.pattern: trial for trial in trials}
        values = {pattern: trial.value for pattern, trial in last.items()}
        late = [t for t in last.values() if t.measurement.at_least and t.round >= trials[-1].round - 1]
        if not late or self.recipe.tokens is not None:
            return values, 0
        found = self.fitness([trial.pattern for trial in late])
        values |= {trial.pattern: measurement.value for trial, measurement in zip(late, found, strict=True)}
        full = self.fitness.sample.full.tokens
        return values, sum(full - trial.measurement.tokens for trial in late)
