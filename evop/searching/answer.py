"""The answer of a search: the finalists measured again on ``select``, the best on both, what it claims and cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from evop.files.json_file import sha256
from evop.files.names import CORRECTIONS, DROP_LIST, PATTERN, SEARCH
from evop.fitness.sample import Losses
from evop.losses.table import pooled
from evop.recipes.search import SearchRecipe
from evop.removal.corrections import write_corrections
from evop.removal.drop_file import write_drop_file
from evop.removal.pattern_facts import Claim, ModelName, Origin
from evop.removal.pattern_file import PatternFile
from evop.removal.size import bare
from evop.searching.bearings import judged_cut
from evop.searching.folder import SearchRun
from evop.searching.judging import Judge, Judged
from evop.searching.passages import held_out_domains
from evop.searching.plan import memory_of
from evop.searching.point_file import JudgedAs, Judgement
from evop.searching.refits import FinalistRefits
from evop.searching.search_file import Finalist, SearchFile
from evop.searching.setup import SearchSetup
from evop.version import __version__
from patterns import Trial


@dataclass(frozen=True)
class Answer:
    """The finalists of a search, measured on ``select``, and judged on ``search`` and ``select`` together.

    What a search knows of its finalists is noisy, and the best of many is in part the luckiest. New passages say how
    much was luck; they are noisy too, so both count, token by token.

    Attributes:
        recipe: what was asked of the search.
        setup: what the search worked with.
        reason: why the search stopped.
        judge: measured the finalists.
        judged: the finalists, best on ``search`` first.
        completed: the finalists that the strategy completed, because nothing measured met the budget yet.
        spent: purpose -> tokens that judging scored.
    """

    recipe: SearchRecipe
    setup: SearchSetup
    reason: str
    judge: Judge
    judged: list[Judged]
    completed: list[Trial]
    spent: dict[str, int]

    @classmethod
    def chosen(
        cls, recipe: SearchRecipe, setup: SearchSetup, reason: str, best: list[Trial], completed: list[Trial]
    ) -> Answer:
        """Judge the finalists on ``select``; those without a loss there are dropped.

        Raises:
            EvopError: no finalist has a loss there.
        """
        judge = Judge.of(setup)
        return cls(recipe, setup, reason, judge, judge.judged(best), completed, judge.tokens(len(best)))

    @property
    def at(self) -> int:
        """Index of the finalist that is best on both splits pooled; of two that are equal, of the better on search."""
        return min(range(len(self.judged)), key=lambda i: (self._value(self.pooled[i]), self.judged[i].trial.value))

    @cached_property
    def pooled(self) -> list[dict[str, float]]:
        """The excess per group of each finalist on ``search`` and ``select`` together, each token counted alike."""
        splits = self.setup.passages.search.counts_by_group, self.setup.passages.select.counts_by_group
        return [pooled((judged.search, self.judge.select.excess(judged.select)), splits) for judged in self.judged]

    @property
    def judgement(self) -> Judgement:
        """How the groups of the answer stand to what they may lose."""
        return judged_cut(self.setup, self.judged[self.at].cut)

    def charged(self, **spent: int) -> Answer:
        """Copy the answer with more tokens that were scored, by purpose."""
        return replace(self, spent={**self.spent, **spent})

    def write(self, run: SearchRun) -> tuple[SearchFile, PatternFile]:
        """Write ``search.json`` and ``pattern.json``, the pattern last: with it, the run is finished."""
        account = self._account(run)
        account.write(run.folder / SEARCH)
        write_drop_file(run.folder / DROP_LIST, self.setup.budget.space, self.judged[self.at].trial.pattern)
        pattern = self._pattern_file(run, account)
        pattern.write(run.folder / PATTERN)
        return account, pattern

    def _account(self, run: SearchRun) -> SearchFile:
        """Say why the search stopped, what it cost, and who its finalists were."""
        setup, trials = self.setup, self.setup.log.trials
        tokens = {**setup.tokens, **self._spent_on(trials)}
        space = setup.budget.space
        return SearchFile(
            version=__version__,
            model=ModelName.of(setup.fitness.sample.evaluator.loaded.checkpoint),
            calibration=setup.calibration.fingerprint,
            stopped=self.reason,
            completed=bool(self.completed),
            evaluations=len({trial.pattern for trial in trials}),
            tokens={**tokens, "total": sum(tokens.values())},
            truncated={"search": setup.passages.search.truncated, "select": setup.passages.select.truncated},
            seconds=round(run.seconds(), 2),
            sample_size=setup.sample_size,
            groups={key: setup.labels[key] for key in setup.passages.groups},
            left_out=dict(setup.passages.left_out),
            finalists=[
                Finalist(
                    removed=list(space.names(judged.trial.pattern)),
                    thinned=space.thinned(judged.trial.pattern),
                    search=self._value(judged.search),
                    select=judged.select.value,
                    pooled=self._value(pooled),
                )
                for judged, pooled in zip(self.judged, self.pooled, strict=True)
            ],
            machines=run.machines,
            trials_sha256=sha256(run.trials),
        )

    def _spent_on(self, trials: Sequence[Trial]) -> dict[str, int]:
        """Count the tokens of trials and of judging, by purpose; those that patterns were trained on apart."""
        charged = [trial for trial in [*trials, *self.completed] if trial.measurement.tokens]
        total = sum(trial.measurement.tokens for trial in charged)
        trained = {each.passages: each.trained for each in self.setup.fitness.sample.fidelities}
        tuning = sum(trained[trial.fidelity] for trial in charged)
        spent = {"trials": total - tuning, **self.spent}
        return {**spent, "tuning": tuning + spent.get("tuning", 0)} if tuning else spent

    def _pattern_file(self, run: SearchRun, account: SearchFile) -> PatternFile:
        """Describe the best finalist: what it removes, where it came from, what is claimed for it."""
        evaluator, judged = self.setup.fitness.sample.evaluator, self.judged[self.at]
        cut = judged.cut
        memory = memory_of(evaluator.loaded.checkpoint, self.recipe)
        corrected = bool(cut.weights) or self.recipe.compensate != "none"
        return PatternFile.describe(
            evaluator.loaded.checkpoint,
            self.setup.budget.space,
            judged.trial.pattern,
            cut,
            remove=bare(self.recipe.asked),
            cost=self.recipe.costs,
            fit_in=None if memory is None or self.recipe.fit_in is None else (self.recipe.fit_in, memory),
            width_step=self.recipe.width_step,
            compensate=self.recipe.compensate,
            refit=self.judge.note(cut),
            corrections=write_corrections(cut, run.folder / CORRECTIONS) if corrected else None,
            origin=self._origin(account),
            claim=self._claim(),
        )

    def _origin(self, account: SearchFile) -> Origin:
        # Written out: the recipe has fields ``evaluations`` and ``tokens`` too, which are limits and not what was used.
        recipe = self.recipe
        return Origin(
            strategy=recipe.strategy,
            objective=recipe.objective,
            tail=recipe.tail,
            loss=recipe.loss.name,
            scale=recipe.unit,
            tolerate=list(recipe.tolerate) or None,
            importance=recipe.importance,
            importance_over=recipe.importance_over,
            fitness_on=recipe.fitness_on,
            held_out=sorted(held_out_domains(self.setup.calibration, recipe.hold_out_domain)),
            seed=recipe.seed,
            evaluations=account.evaluations,
            tokens=account.tokens["total"],
            stopped=account.stopped,
            max_tokens=recipe.max_tokens,
            calibration=account.calibration,
            trials_sha256=account.trials_sha256,
            machine=account.machines[0] if account.machines else None,
        )

    def _claim(self) -> Claim:
        judged, excess = self.judged[self.at], self.pooled[self.at]
        return Claim(
            search=self._value(judged.search),
            select=judged.select.value,
            pooled=self._value(excess),
            worst_group=self.judge.select.worst_group(excess),
            excess=excess,
        )

    def _value(self, excess: Losses) -> float:
        return self.judge.select.value(excess)


def with_judgements(answer: Answer, best: Sequence[Trial]) -> tuple[Answer, dict[JudgedAs, Judgement]]:
    """Hold an answer against what its groups may lose; where finalists are refitted, the best as it is too.

    Returns:
        The answer, charged for it, and what came of it by what was judged.
    """
    setup, total = answer.setup, answer.setup.passages.select.total
    if setup.refits.learning is None:
        return answer.charged(judging=2 * total), {"masked": answer.judgement}
    as_searched = replace(setup, refits=FinalistRefits())
    masked = Answer.chosen(answer.recipe, as_searched, answer.reason, list(best), answer.completed)
    spent = 4 * total + masked.spent["select"]
    return answer.charged(judging=spent), {"refit": answer.judgement, "masked": masked.judgement}
