"""The loop of one search: ask, measure, tell; then the finalists, then the files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from evop.engines import Engine, make_engine
from evop.errors import EvopError
from evop.files.names import POINT
from evop.fitness.fitness import Fitness
from evop.model.loaded import wider
from evop.recipes.search import SearchRecipe
from evop.searching.answer import Answer, with_judgements
from evop.searching.folder import SearchRun
from evop.searching.point_file import JudgedAs, Judgement, PointFile
from evop.searching.progress import Progress, ProgressMeter, Watch, interruptible
from evop.searching.result import SearchResult
from evop.searching.setup import SearchSetup
from patterns import (
    FINALISTS,
    Measure,
    Measurement,
    Pattern,
    Request,
    Stop,
    Strategy,
    Trial,
    finalists,
    make_strategy,
)
from patterns import search as run_loop
from patterns.strategies.warm import Warm


@dataclass(frozen=True)
class SearchLoop:
    """Runs one search.

    Attributes:
        recipe: what was asked.
        run: the folder of the search.
        setup: what the search works with.
        watch: is shown the progress.
        report: is given a line where something happens that a person would like to know.
    """

    recipe: SearchRecipe
    run: SearchRun
    setup: SearchSetup
    watch: Watch
    report: Callable[[str], None]

    @property
    def fitness(self) -> Fitness:
        """The fitness that judges patterns on ``search``."""
        return self.setup.fitness

    def run_search(self) -> SearchResult:
        """Run the loop until it stops, choose among the finalists, write the files."""
        recipe, sample = self.recipe, self.fitness.sample
        for note in self.setup.notes:
            self.report(note)
        strategy: Strategy = make_strategy(recipe.strategy, self.setup.budget, recipe.seed, **recipe.strategy_options)
        strategy = Warm(strategy, self.setup.starts) if self.setup.starts else strategy
        stop = Stop(recipe.most_evaluations(strategy.finishes), recipe.tokens, recipe.minutes)
        spent, reserve = self.setup.spent, self.setup.reserve
        in_tolerances = recipe.unit == "tolerance"
        meter = ProgressMeter(
            self.fitness, self.setup.labels, stop, spent + reserve(FINALISTS), self.watch, in_tolerances
        )
        engine = make_engine(recipe, self.fitness, self.report)
        # A first Ctrl-C ends the loop, not the search: what was measured by then still gets its answer.
        with interruptible(stop):
            with closing(engine):
                reason = run_loop(
                    strategy,
                    self.setup.budget,
                    self.setup.log,
                    self._measuring(engine, meter, stop),
                    stop,
                    fidelities=sample.fidelities,
                    spent=spent,
                    reserve=reserve,
                    bounds=recipe.bounds,
                    on_trial=meter,
                )
            result = self._conclude(strategy, reason)
        return replace(result, interrupted=stop.interrupted, profile=sample.evaluator.profile)

    def _measuring(self, engine: Engine, meter: ProgressMeter, stop: Stop) -> Measure:
        """Make the function that measures a request, and writes down how long it took."""
        started = time.perf_counter()

        def measure(request: Request) -> Iterator[Measurement]:
            meter.measuring()
            begun = time.perf_counter()
            # A round is measured in parts, and may be replayed in part: the order rests on earlier rounds alone, so
            # that it is the same either way.
            earlier = [trial for trial in self.setup.log.trials if trial.round < request.round]
            try:
                measurements = engine.measure(request, self.fitness.worst_first(earlier), stop)
            finally:
                now = time.perf_counter()
                self.run.add_seconds(request.round, len(request.patterns), now - begun, now - started)
            yield from measurements

        return measure

    def _conclude(self, strategy: Strategy, reason: str) -> SearchResult:
        """Choose among the finalists on ``select``, and write the answer."""
        setup = self.setup
        best = finalists(setup.log.trials, self.fitness.sample.full.passages, setup.refits.most)
        completed = [] if best else self._completed(strategy, reason)
        self.watch(Progress("selecting", len({trial.pattern for trial in setup.log.trials})))
        answer = Answer.chosen(self.recipe, setup, reason, best or completed, completed)
        judgements: dict[JudgedAs, Judgement] = {}
        if setup.tolerates:
            answer, judgements = with_judgements(answer, best or completed)
        account, pattern = answer.write(self.run)
        if judgements:
            PointFile.of(self.recipe, account, pattern, self.run.folder, judgements).write(self.run.folder / POINT)
        return SearchResult(self.run.folder, pattern, account)

    def _completed(self, strategy: Strategy, reason: str) -> list[Trial]:
        """Complete patterns where the search stopped before anything met the budget; the strategy says how.

        Raises:
            EvopError: nothing was measured, or nothing that meets the budget has a loss.
        """
        trials = self.setup.log.trials
        if not trials:
            more = "give more --minutes, or a smaller search sample" if reason == "minutes" else "run the command again"
            raise EvopError(f"no round was measured before the search stopped ({reason}); {more}")
        values, finished = self._whole_values(trials)
        promising = strategy.completions(values)[: self._completions(reason)]
        failed = next((t.measurement.failed for t in trials if t.measurement.failed), "not a number")
        completed: list[Trial] = []
        full = self.fitness.sample.full
        for pattern, measurement in zip(promising, self.fitness(promising), strict=True):
            if measurement.failed is None:
                known = 0 if full.trained else _charged(trials, pattern)
                rest = 0 if pattern in finished else measurement.tokens - known
                finishing = 0 if completed else sum(finished.values())
                charged = replace(measurement, tokens=rest + finishing)
                completed.append(Trial(-1, pattern, True, full.passages, charged))
        if completed:
            return sorted(completed, key=lambda trial: trial.value)
        advice = wider(self.fitness.sample.evaluator.loaded.dtype, "remove less, or give another --seed")
        raise EvopError(f"no pattern that meets the budget has a loss ({failed}); {advice}")

    def _completions(self, reason: str) -> int:
        """Count the patterns that are completed: as many as there can be finalists, where there are tokens and time."""
        setup, tokens = self.setup, self.recipe.tokens
        if reason != "evaluations" or tokens is None:
            return setup.refits.most if reason == "evaluations" else 1
        left = tokens - setup.spent - sum(trial.measurement.tokens for trial in setup.log.trials)
        each = self.fitness.sample.full.tokens
        fitting = (n for n in range(1, setup.refits.most + 1) if setup.reserve(n) + n * each <= left)
        return max(fitting, default=1)

    def _whole_values(self, trials: Sequence[Trial]) -> tuple[dict[Pattern, float], dict[Pattern, int]]:
        """Take the last value of each pattern, measuring to the end what the last rounds stopped early.

        Greedy completes from a ranking, for which it has to know values that did not matter when they were measured.
        Where tokens are limited, "at least" has to do.

        Returns:
            Pattern -> value; and pattern -> tokens that it took to measure it to its end.
        """
        full, last = self.fitness.sample.full, {trial.pattern: trial for trial in trials}
        values = {pattern: trial.value for pattern, trial in last.items()}
        stopped_early = [
            trial
            for trial in last.values()
            if trial.measurement.at_least and trial.fidelity == full.passages and trial.round >= trials[-1].round - 1
        ]
        if not stopped_early or self.recipe.tokens is not None:
            return values, {}
        measured = self.fitness([trial.pattern for trial in stopped_early])
        values |= {trial.pattern: measurement.value for trial, measurement in zip(stopped_early, measured, strict=True)}
        return values, {trial.pattern: full.tokens - _charged(trials, trial.pattern) for trial in stopped_early}


def _charged(trials: Sequence[Trial], pattern: Pattern) -> int:
    """Add up the tokens that the trials of a pattern were charged."""
    return sum(trial.measurement.tokens for trial in trials if trial.pattern == pattern)
