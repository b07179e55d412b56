"""One search at work: the loop, then the finalists, then the files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from evop.engines import Engine, make_engine
from evop.errors import EvopError
from evop.fitness.fitness import Fitness
from evop.recipes.search import SearchRecipe
from evop.searching.answer import Answer
from evop.searching.folder import SearchRun
from evop.searching.progress import Progress, ProgressMeter, Watch, interruptible
from evop.searching.result import SearchResult
from evop.searching.setup import SearchSetup
from patterns import (
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


@dataclass(frozen=True)
class SearchLoop:
    """One search at work."""

    recipe: SearchRecipe
    run: SearchRun
    setup: SearchSetup
    watch: Watch
    report: Callable[[str], None]

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
        engine = make_engine(recipe, self.fitness, self.report)
        with interruptible(stop):
            with closing(engine):
                reason = run_loop(
                    strategy,
                    self.setup.budget,
                    self.setup.log,
                    self._measuring(engine, meter, stop),
                    stop,
                    fidelities=sample.fidelities,
                    spent=aside,
                    bounds=recipe.bounds,
                    on_trial=meter,
                )
            result = self._conclude(strategy, reason)
        return replace(result, interrupted=stop.interrupted, profile=sample.evaluator.profile)

    def _measuring(self, engine: Engine, meter: ProgressMeter, stop: Stop) -> Measure:
        started = time.perf_counter()

        def measure(request: Request) -> Iterator[Measurement]:
            meter.measuring()
            begun = time.perf_counter()
            before = [trial for trial in self.setup.log.trials if trial.round < request.round]
            try:
                found = engine.measure(request, self.fitness.worst_first(before), stop)
            finally:
                now = time.perf_counter()
                self.run.add_seconds(request.round, len(request.patterns), now - begun, now - started)
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
            more = "give more --minutes, or a smaller search sample" if reason == "minutes" else "run the command again"
            raise EvopError(f"no round was measured before the search stopped ({reason}); {more}")
        values, finished = self._whole_values(trials)
        pattern = strategy.completion(values)
        failed = next((t.measurement.failed for t in trials if t.measurement.failed), "not a number")
        if pattern is not None:
            (found,) = self.fitness([pattern])
            if found.failed is None:
                rest = 0 if pattern in finished else found.tokens - _charged(trials, pattern)
                found = replace(found, tokens=rest + sum(finished.values()))
                return [Trial(-1, pattern, True, self.fitness.sample.full.passages, found)]
        raise EvopError(f"no pattern that meets the budget has a loss ({failed}); use --dtype float32")

    def _whole_values(self, trials: Sequence[Trial]) -> tuple[dict[Pattern, float], dict[Pattern, int]]:
        """The last value of each pattern; of those cut at the end, what it took in tokens to know them in full.

        Greedy completes from a ranking, for which it has to know what did not matter when it was measured. Where
        tokens are limited it has to do with "at least".
        """
        full, last = self.fitness.sample.full, {trial.pattern: trial for trial in trials}
        values = {pattern: trial.value for pattern, trial in last.items()}
        late = [
            trial
            for trial in last.values()
            if trial.measurement.at_least and trial.fidelity == full.passages and trial.round >= trials[-1].round - 1
        ]
        if not late or self.recipe.tokens is not None:
            return values, {}
        found = self.fitness([trial.pattern for trial in late])
        values |= {trial.pattern: measurement.value for trial, measurement in zip(late, found, strict=True)}
        return values, {trial.pattern: full.tokens - _charged(trials, trial.pattern) for trial in late}


def _charged(trials: Sequence[Trial], pattern: Pattern) -> int:
    """Tokens that the trials of a pattern were charged."""
    return sum(trial.measurement.tokens for trial in trials if trial.pattern == pattern)
