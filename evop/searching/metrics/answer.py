"""What a search of metrics answers: the best measured on ``select``, one of them taken, the account of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from calibration import CalibrationSet
from evop.errors import EvopError
from evop.files.json_file import sha256
from evop.importance.metric_file import LayerFinalist, MetricFile, MetricFinalist
from evop.losses.table import pooled
from evop.metrics.methods import TREES
from evop.model.families.family import WEIGHT
from evop.model.loaded import wider
from evop.recipes.metric import MetricRecipe
from evop.removal.cut import Cut
from evop.removal.pattern_facts import ModelName
from evop.removal.sparsity import Sparsity
from evop.searching.metrics.judge import Losses
from evop.searching.metrics.layers import LayerLoop
from evop.searching.metrics.loop import MetricLoop
from evop.searching.metrics.trial import MetricTrial
from evop.searching.passages import ObjectivePassages
from evop.tokens.draws import drawn
from evop.version import __version__
from patterns import FINALISTS


@dataclass(frozen=True)
class MetricAnswer:
    """Makes the answer of a search.

    Attributes:
        recipe: what was asked for.
        calibration: the calibration set.
        loop: the search, when it has ended.
        passages: what is measured on.
        dense: split -> the dense model's mean loss per group there.
    """

    recipe: MetricRecipe
    calibration: CalibrationSet
    loop: MetricLoop
    passages: ObjectivePassages
    dense: Mapping[str, Losses]

    def file(self, reason: str) -> MetricFile:
        """Measure the best metrics on ``select``, and take the one that is best on both splits.

        Args:
            reason: why the search stopped.

        Raises:
            EvopError: no metric has a value.
        """
        loop, recipe = self.loop, self.recipe
        best = self._best(reason)
        finalists = [
            MetricFinalist(metric=str(trial.metric), **self._claims(trial.value, trial.losses, losses))
            for trial, losses in zip(best, self._selected(best), strict=True)
        ]
        return MetricFile(
            version=__version__,
            model=ModelName.of(loop.judge.evaluator.loaded.checkpoint),
            calibration=self.calibration.fingerprint,
            metric=min(finalists, key=lambda finalist: (finalist.pooled, finalist.search)).metric,
            **{
                name: getattr(recipe, name)
                for name in ("method", "grain", "deploy", "remove", "objective", "tail", "seed")
            },
            sparsity=str(recipe.asked) if recipe.grain == WEIGHT else "",
            loss=recipe.loss.name,
            over=recipe.importance_over,
            stopped=reason,
            asked=len(loop.trials),
            evaluations=loop.measured,
            failed=sum(bool(trial.failed) for trial in loop.trials.values()),
            tokens=self._tokens(len(best)),
            finalists=finalists,
            layers=[],
            trials_sha256=sha256(loop.log.path),
        )

    def with_layers(self, found: MetricFile, loop: LayerLoop) -> MetricFile:
        """Measure the best shares of layers on ``select``, and take those that are best on both splits."""
        best = loop.best(FINALISTS)
        finalists = [
            LayerFinalist(
                shares=list(trial.shares),
                **self._claims(trial.value, trial.losses, loop.losses(trial, self.passages.select)),
            )
            for trial in best
        ]
        if not finalists:
            return found
        taken = min(finalists, key=lambda finalist: (finalist.pooled, finalist.search))
        spent = len(loop.trials) * self.passages.search.total + len(best) * self.passages.select.total
        tokens = {**found.tokens, "layers": spent, "total": found.tokens["total"] + spent}
        sparsity = str(Sparsity(tuple(taken.shares)))
        return found.model_copy(update={"sparsity": sparsity, "layers": finalists, "tokens": tokens})

    def _best(self, reason: str) -> list[MetricTrial]:
        sound = [trial for trial in self.loop.trials.values() if trial.measured and not trial.failed]
        if not sound:
            failed = next((trial.failed for trial in self.loop.trials.values() if trial.failed), f"stopped by {reason}")
            advice = wider(self.loop.judge.evaluator.loaded.dtype, "remove less")
            raise EvopError(f"no metric has a value ({failed}); give more --evaluations, or {advice}")
        return sorted(sound, key=lambda trial: trial.value)[:FINALISTS]

    def _selected(self, best: Sequence[MetricTrial]) -> list[Losses]:
        """Measure the best metrics on ``select``, as many together as the judge holds."""
        judge = self.loop.judge
        found: list[Losses] = []
        for first in range(0, len(best), judge.at_once):
            cuts = [judge.cut(trial.metric) for trial in best[first : first + judge.at_once]]
            found += judge.losses([cut for cut in cuts if isinstance(cut, Cut)], self.passages.select)
        return found

    def _claims(self, value: float, searched: Losses, selected: Losses) -> dict[str, float]:
        """Judge a finalist on ``select``, and on both splits with every token counted alike."""
        judge, dense = self.loop.judge, self.dense
        counts = [part.counts_by_group for part in (self.passages.search, self.passages.select)]
        both = pooled((searched, selected), counts)
        return {
            "search": value,
            "select": judge.value(selected, dense["select"]),
            "pooled": judge.value(both, pooled((dense["search"], dense["select"]), counts)),
        }

    def _tokens(self, finalists: int) -> dict[str, int]:
        passes = 3 if self.recipe.method in TREES else 1
        search, select = self.passages.search.total, self.passages.select.total
        text, draws = self.passages.search.as_text(), {metric.draw for metric in self.loop.trials}
        tokens = {
            "importance": passes * sum(drawn(text, draw).total for draw in draws),
            "dense": search,
            "trials": sum(trial.tokens for trial in self.loop.trials.values()),
            "select": (1 + finalists) * select,
        }
        return {**tokens, "total": sum(tokens.values())}
