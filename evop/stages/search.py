"""``evop search``: from a model and a calibration set to the pattern that holds up on the worst group."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.checkpoint import Checkpoint
from evop.drop_file import DROP_FILE, write_drop_file
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.families.parts import pattern_space
from evop.files import sha256
from evop.fitness import Fitness, dense_losses
from evop.load import LoadedModel, load_model
from evop.objective_passages import ObjectivePassages, objective_passages
from evop.objectives import objective_of
from evop.pattern_file import Claim, ModelName, Origin, PatternFile
from evop.progress import Progress, ProgressMeter, Watch, interruptible
from evop.recipe import SearchRecipe
from evop.search_identity import identity_asked, identity_found
from evop.search_run import Finalist, SearchFile, SearchRun
from evop.version import __version__
from patterns import Budget, Measure, Measurement, Pattern, Stop, Strategy, Trial, TrialLog, finalists, make_strategy
from patterns import search as run_loop

FINALISTS = 8
"""How many of the best distinct patterns are measured again on ``select``."""


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
    budget = Budget(pattern_space(checkpoint, recipe.grain, recipe.deploy, recipe.protect), recipe.remove, recipe.cost)
    strategy = make_strategy(recipe.strategy, budget, recipe.seed)
    run = SearchRun(Path(out))
    run.refuse_another(identity_asked(recipe, given, budget))
    watch(Progress("loading"))
    dtype = run.header["dtype"] if run.header and recipe.dtype == "auto" else recipe.dtype
    loaded = load_model(checkpoint, recipe.device, dtype, recipe.trust_remote_code)
    return _Desk.set_up(recipe, given, budget, run, loaded, watch).run_search(strategy)


@dataclass(frozen=True)
class _Desk:
    """Everything one search works with."""

    recipe: SearchRecipe
    calibration: CalibrationSet
    budget: Budget
    run: SearchRun
    passages: ObjectivePassages
    fitness: Fitness
    log: TrialLog
    watch: Watch

    @classmethod
    def set_up(
        cls,
        recipe: SearchRecipe,
        calibration: CalibrationSet,
        budget: Budget,
        run: SearchRun,
        loaded: LoadedModel,
        watch: Watch,
    ) -> _Desk:
        """Read the passages, measure the dense model, open the log."""
        passages = objective_passages(calibration, loaded.tokenizer, recipe.max_tokens, recipe.min_group_tokens)
        _refuse_too_few_tokens(recipe, passages)
        evaluator = Evaluator(loaded, budget.space, recipe.max_tokens, recipe.batch_size)
        identity = {**identity_asked(recipe, calibration, budget), **identity_found(loaded, passages)}
        run.refuse_another(identity)
        watch(Progress("dense"))
        dense = run.header["dense"] if run.header else dense_losses(evaluator, passages.search)
        parts = [part.name for part in budget.space.parts]
        log = run.log(identity, {"parts": parts, "groups": list(passages.groups), "dense": dense})
        fitness = Fitness(evaluator, passages.search, objective_of(recipe.objective), dense)
        return cls(recipe, calibration, budget, run, passages, fitness, log, watch)

    @property
    def labels(self) -> dict[str, str]:
        """Group key -> what a person reads."""
        return {group.key: group.label for group in self.calibration.groups}

    def run_search(self, strategy: Strategy) -> SearchResult:
        """The loop, then the finalists, then the files."""
        stop = Stop(self.recipe.most_evaluations(strategy.finishes), self.recipe.tokens, self.recipe.minutes)
        aside = _set_aside(self.passages)
        meter = ProgressMeter(self.fitness, self.labels, stop, aside, self.watch)
        with interruptible(stop):
            reason = run_loop(
                strategy,
                self.budget,
                self.log,
                self._measuring(meter),
                stop,
                effort=len(self.passages.search.ids),
                tokens_a_pattern=self.passages.search.total,
                spent=aside,
                on_trial=meter,
            )
            return self._conclude(strategy, reason)

    def _measuring(self, meter: ProgressMeter) -> Measure:
        number = len(self.log.trials)

        def measure(patterns: list[Pattern]) -> Iterator[Measurement]:
            nonlocal number
            meter.measuring()
            for pattern in patterns:
                begun = time.perf_counter()
                (found,) = self.fitness([pattern])
                self.run.add_seconds(number, time.perf_counter() - begun)
                number += 1
                yield found

        return measure

    def _conclude(self, strategy: Strategy, reason: str) -> SearchResult:
        best = finalists(self.log.trials, FINALISTS)
        completed = [] if best else self._completed(strategy, reason)
        best = best or completed
        self.watch(Progress("selecting", len(self.log.trials)))
        select = Fitness.on(self.fitness.evaluator, self.passages.select, self.fitness.objective)
        measured = list(select([trial.pattern for trial in best]))
        at = min(range(len(best)), key=lambda i: (measured[i].value, best[i].value))
        account = self._account(reason, best, measured, completed)
        pattern = self._pattern_file(best[at], measured[at], select, account)
        account.write(self.run.folder / "search.json")
        pattern.write(self.run.folder / "pattern.json")
        write_drop_file(self.run.folder / DROP_FILE, self.budget.space, best[at].pattern)
        return SearchResult(self.run.folder, pattern, account)

    def _completed(self, strategy: Strategy, reason: str) -> list[Trial]:
        """A search stopped before anything met its budget answers with its strategy's completion.

        Raises:
            EvopError: there is nothing to answer with.
        """
        if not self.log.trials:
            raise EvopError(f"nothing was measured before the search stopped ({reason}); run the same command again")
        pattern = strategy.completion({trial.pattern: trial.value for trial in self.log.trials})
        failed = next((t.measurement.failed for t in self.log.trials if t.measurement.failed), "not a number")
        if pattern is not None:
            (found,) = self.fitness([pattern])
            if found.failed is None:
                return [Trial(-1, pattern, True, len(self.passages.search.ids), found)]
        raise EvopError(f"no pattern that meets the budget has a loss ({failed}); use --dtype float32")

    def _account(
        self, reason: str, best: list[Trial], measured: list[Measurement], completed: list[Trial]
    ) -> SearchFile:
        a_pattern, selecting = self.passages.search.total, self.passages.select.total
        tokens = {
            "dense": a_pattern,
            "trials": sum(trial.measurement.tokens for trial in [*self.log.trials, *completed]),
            "select": (1 + len(best)) * selecting,
        }
        names = self.budget.space.names
        return SearchFile(
            version=__version__,
            model=ModelName.of(self.fitness.evaluator.loaded.checkpoint),
            calibration=self.calibration.fingerprint,
            stopped=reason,
            completed=bool(completed),
            evaluations=len(self.log.trials),
            tokens={**tokens, "total": sum(tokens.values())},
            cut={"search": self.passages.search.cut, "select": self.passages.select.cut},
            seconds=round(self.run.seconds(), 2),
            groups={key: self.labels[key] for key in self.passages.groups},
            left_out=dict(self.passages.left_out),
            finalists=[
                Finalist(removed=list(names(trial.pattern)), search=trial.value, select=found.value)
                for trial, found in zip(best, measured, strict=True)
            ],
            trials_sha256=sha256(self.log.path),
        )

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
            calibration=account.calibration,
            trials_sha256=account.trials_sha256,
        )
        claim = Claim(
            search=trial.value,
            select=on_select.value,
            worst_group=max(excess, key=lambda group: excess[group]),
            select_excess=excess,
        )
        checkpoint = self.fitness.evaluator.loaded.checkpoint
        return PatternFile.describe(checkpoint, self.budget, trial.pattern, origin, claim)


def _set_aside(passages: ObjectivePassages) -> int:
    """Tokens that the dense model and the finalists take."""
    return passages.search.total + (1 + FINALISTS) * passages.select.total


def _refuse_too_few_tokens(recipe: SearchRecipe, passages: ObjectivePassages) -> None:
    least = _set_aside(passages) + passages.search.total
    if recipe.tokens is not None and recipe.tokens < least:
        raise EvopError(
            f"--tokens {recipe.tokens:,} is too few for one pattern: the dense model, one pattern and {FINALISTS} "
            f"finalists on select take {least:,}; give more, or fewer --passages when calibrating"
        )
