"""What the finalists of a search are judged by: as they were searched, trained or not, or refitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evop.errors import EvopError
from evop.fitness.fitness import Fitness
from evop.fitness.sample import Losses, Sample
from evop.fitness.tuned_sample import TunedSample
from evop.losses.table import LossTable, excess
from evop.model.loaded import wider
from evop.recovery.chain import ChainRefit
from evop.recovery.text import refit_tokens
from evop.removal.cut import Cut
from evop.removal.pattern_facts import RefitNote
from evop.searching.setup import SearchSetup
from patterns import Measurement, Trial

RIDGE = 1.0
"""Ridge of a judge's refits: a weaker one may do better where there is much text, and harm where there is little."""


@dataclass(frozen=True)
class Judged:
    """A finalist as it would be shipped.

    Attributes:
        trial: the finalist.
        cut: what it takes out of the model, with the weights that it was judged with.
        search: group -> excess on ``search``.
        select: its measurement on ``select``.
    """

    trial: Trial
    cut: Cut
    search: Losses
    select: Measurement


@dataclass(frozen=True)
class Judge:
    """Measures finalists on ``select``.

    Attributes:
        setup: what the search worked with.
        select: judges patterns on ``select``.
    """

    setup: SearchSetup
    select: Fitness

    @classmethod
    def of(cls, setup: SearchSetup) -> Judge:
        """Measure the dense model on ``select``."""
        sample = Sample.whole(setup.fitness.sample.evaluator, setup.passages.select)
        dense = {sample.full.passages: sample.dense(sample.full)}
        return cls(setup, Fitness(sample, setup.fitness.objective, dense, setup.fitness.scale))

    def judged(self, best: Sequence[Trial]) -> list[Judged]:
        """Judge finalists; those without a loss are dropped.

        Raises:
            EvopError: no finalist has a loss.
        """
        if self.setup.refits.learning is not None:
            found = self._refitted(best)
        elif isinstance(self.setup.fitness.sample, TunedSample):
            found = self._tuned(best, self.setup.fitness.sample)
        else:
            found = self._masked(best)
        sound = [judged for judged in found if judged.select.failed is None]
        if not sound:
            advice = wider(self.setup.fitness.sample.evaluator.loaded.dtype, "remove less, or give another --seed")
            raise EvopError(f"no finalist has a loss on select ({found[0].select.failed}); {advice}")
        return sound

    def tokens(self, finalists: int) -> dict[str, int]:
        """Count the tokens that judging so many finalists scores, by purpose."""
        passages = self.setup.passages
        tokens = {"select": (1 + finalists) * passages.select.total}
        if self.setup.refits.learning is not None:
            tokens["refit"] = finalists * refit_tokens(self.setup.refits.learning, passages.search)
        elif self.setup.refits.trained:
            tokens["tuning"] = finalists * self.setup.refits.trained
        return tokens

    def note(self, cut: Cut) -> RefitNote | None:
        """Say how the weights of a finalist were refitted; None where they were not."""
        learning, trained = self.setup.refits.learning, self.setup.refits.trained
        if not cut.weights or (learning is None and not trained):
            return None
        through, fingerprint = max(layer for _, layer in cut.weights), self.setup.calibration.fingerprint
        method, ridge, tokens = ("darwin", 0.0, trained) if learning is None else ("chain", RIDGE, learning.tokens)
        return RefitNote(
            method=method, ridge=ridge, through=through, calibration=fingerprint, tokens=tokens, anchor=0.0
        )

    def _masked(self, best: Sequence[Trial]) -> list[Judged]:
        """Judge finalists as they were searched."""
        evaluator, fitness = self.select.sample.evaluator, self.setup.fitness
        measured = self.select([trial.pattern for trial in best])
        return [
            Judged(trial, evaluator.cut(trial.pattern), fitness.excess(trial.measurement), measurement)
            for trial, measurement in zip(best, measured, strict=True)
        ]

    def _tuned(self, best: Sequence[Trial], sample: TunedSample) -> list[Judged]:
        """Judge finalists with the weights that they were searched with, trained once more to the same."""
        fitness, cuts = self.setup.fitness, [sample.cut(trial.pattern) for trial in best]
        selected = sample.evaluator.of_cuts(cuts, self.setup.passages.select)
        return [
            Judged(trial, cut, fitness.excess(trial.measurement), self._measurement(table))
            for trial, cut, table in zip(best, cuts, selected, strict=True)
        ]

    def _refitted(self, best: Sequence[Trial]) -> list[Judged]:
        """Refit every finalist, and judge what came of it on both splits: neither was learned from."""
        evaluator, passages = self.select.sample.evaluator, self.setup.passages
        cuts = [self._refit(evaluator.cut(trial.pattern)) for trial in best]
        searched, selected = (evaluator.of_cuts(cuts, split) for split in (passages.search, passages.select))
        dense = self.setup.fitness.dense[self.setup.fitness.sample.full.passages]
        return [
            Judged(trial, cut, excess(search.by_group, dense), self._measurement(select))
            for trial, cut, search, select in zip(best, cuts, searched, selected, strict=True)
        ]

    def _refit(self, cut: Cut) -> Cut:
        evaluator, learning = self.select.sample.evaluator, self.setup.refits.learning
        assert learning is not None, "nothing to learn from"
        weights = evaluator.backoff(
            lambda batch_tokens: ChainRefit(
                evaluator.loaded, replace(cut, weights={}), learning, batch_tokens=batch_tokens
            ).weights(RIDGE)
        )
        return replace(cut, weights=weights)

    def _measurement(self, table: LossTable) -> Measurement:
        """Make a measurement of losses on ``select``."""
        if not table.finite:
            return Measurement(float("inf"), {}, int(table.counts.sum()), "a loss is not finite")
        dense = self.select.dense[self.select.sample.full.passages]
        value = self.select.value(excess(table.by_group, dense))
        return Measurement(value, table.by_group, int(table.counts.sum()))
