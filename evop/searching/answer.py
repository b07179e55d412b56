"""The answer of a search: the finalists measured again on ``select``, the best of them, what it claims and cost."""

from __future__ import annotations

from dataclasses import dataclass

from evop.errors import EvopError
from evop.files.json_file import sha256
from evop.files.names import CORRECTIONS, DROP_LIST, PATTERN, SEARCH
from evop.fitness.fitness import Fitness
from evop.fitness.sample import Sample
from evop.recipes.search import SearchRecipe
from evop.removal.compensation_file import write_corrections
from evop.removal.drop_file import write_drop_file
from evop.removal.pattern_file import Claim, ModelName, Origin, PatternFile
from evop.searching.folder import SearchRun
from evop.searching.search_file import Finalist, SearchFile
from evop.searching.setup import SearchSetup
from evop.version import __version__
from patterns import Measurement, Trial


@dataclass(frozen=True)
class Answer:
    """What a search has found.

    Attributes:
        recipe: what was asked.
        setup: what it was searched with.
        reason: why it stopped.
        best: the finalists, best on ``search`` first.
        completed: the finalists that the strategy completed, because nothing measured met the budget yet.
        select: judges them on ``select``.
        measured: what came out there.
        spent: tokens that this took.
    """

    recipe: SearchRecipe
    setup: SearchSetup
    reason: str
    best: list[Trial]
    completed: list[Trial]
    select: Fitness
    measured: list[Measurement]
    spent: int

    @classmethod
    def chosen(
        cls, recipe: SearchRecipe, setup: SearchSetup, reason: str, best: list[Trial], completed: list[Trial]
    ) -> Answer:
        """Measure the finalists on ``select``; those without a loss there are no finalists.

        Raises:
            EvopError: none has one.
        """
        sample = Sample.whole(setup.fitness.sample.evaluator, setup.passages.select)
        dense = {sample.full.passages: sample.dense(sample.full)}
        select = Fitness(sample, setup.fitness.objective, dense, setup.fitness.scale)
        both = list(zip(best, select([trial.pattern for trial in best]), strict=True))
        sound = [(trial, found) for trial, found in both if found.failed is None]
        if not sound:
            raise EvopError(f"no finalist has a loss on select ({both[0][1].failed}); use --dtype float32")
        spent = len(both) * setup.passages.select.total
        kept, measured = [trial for trial, _ in sound], [found for _, found in sound]
        return cls(recipe, setup, reason, kept, completed, select, measured, spent)

    @property
    def at(self) -> int:
        """Which finalist is best on ``select``; on ``search`` where two are equal there."""
        return min(range(len(self.best)), key=lambda i: (self.measured[i].value, self.best[i].value))

    def write(self, run: SearchRun) -> tuple[SearchFile, PatternFile]:
        """Write ``search.json`` and ``pattern.json``, the pattern last: with it, the run is finished."""
        account = self._account(run)
        account.write(run.folder / SEARCH)
        write_drop_file(run.folder / DROP_LIST, self.setup.budget.space, self.best[self.at].pattern)
        pattern = self._pattern_file(run, account)
        pattern.write(run.folder / PATTERN)
        return account, pattern

    def _account(self, run: SearchRun) -> SearchFile:
        setup, trials = self.setup, self.setup.log.trials
        tokens = {
            **setup.tokens,
            "trials": sum(trial.measurement.tokens for trial in [*trials, *self.completed]),
            "select": setup.passages.select.total + self.spent,
        }
        space = setup.budget.space
        return SearchFile(
            version=__version__,
            model=ModelName.of(setup.fitness.sample.evaluator.loaded.checkpoint),
            calibration=setup.calibration.fingerprint,
            stopped=self.reason,
            completed=bool(self.completed),
            evaluations=len({trial.pattern for trial in trials}),
            tokens={**tokens, "total": sum(tokens.values())},
            cut={"search": setup.passages.search.truncated, "select": setup.passages.select.truncated},
            seconds=round(run.seconds(), 2),
            groups={key: setup.labels[key] for key in setup.passages.groups},
            left_out=dict(setup.passages.left_out),
            finalists=[
                Finalist(
                    removed=list(space.names(trial.pattern)),
                    thinned=space.thinned(trial.pattern),
                    search=trial.value,
                    select=found.value,
                )
                for trial, found in zip(self.best, self.measured, strict=True)
            ],
            trials_sha256=sha256(run.trials),
        )

    def _pattern_file(self, run: SearchRun, account: SearchFile) -> PatternFile:
        trial, on_select, recipe = self.best[self.at], self.measured[self.at], self.recipe
        excess = self.select.excess(on_select)
        origin = Origin(
            strategy=recipe.strategy,
            objective=recipe.objective,
            loss=recipe.loss.name,
            scale=recipe.scale,
            importance=recipe.importance,
            importance_over=recipe.importance_over,
            seed=recipe.seed,
            evaluations=account.evaluations,
            tokens=account.tokens["total"],
            stopped=account.stopped,
            max_tokens=recipe.max_tokens,
            calibration=account.calibration,
            trials_sha256=account.trials_sha256,
        )
        claim = Claim(
            search=trial.value,
            select=on_select.value,
            worst_group=self.select.worst_group(on_select),
            select_excess=excess,
        )
        evaluator = self.setup.fitness.sample.evaluator
        cut = evaluator.cut(trial.pattern)
        return PatternFile.describe(
            evaluator.loaded.checkpoint,
            self.setup.budget.space,
            trial.pattern,
            cut,
            remove=self.setup.budget.remove,
            cost=self.setup.budget.cost,
            width_step=recipe.width_step,
            corrections=write_corrections(cut, run.folder / CORRECTIONS) if recipe.compensate == "bias" else None,
            origin=origin,
            claim=claim,
        )
