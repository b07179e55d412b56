"""What a metric is judged by: the one pattern that it ranks, measured on passages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.importance import Importance, metric_importance
from evop.importance.scores import SiteScores
from evop.importance.statistics import Statistics
from evop.losses.objectives import Objective
from evop.losses.table import excess
from evop.metrics.metric import Metric
from evop.removal.cut import Cut
from evop.removal.ranking import Ranking
from evop.tokens.passages import TokenPassages
from patterns import Budget, make_strategy

Losses = Mapping[str, float]


@dataclass(frozen=True)
class MetricJudge:
    """Judges metrics.

    Attributes:
        evaluator: the dense model, and the space; it knows no ranking.
        remove: fraction of the decoder's parameters that leaves.
        over: how groups are combined.
        objective: makes a number of the groups' excess.
        scores: what computes metrics at the sites.
        statistics: what was measured there.
    """

    evaluator: Evaluator
    remove: float
    over: str
    objective: Objective
    scores: Sequence[SiteScores]
    statistics: Statistics

    def cut(self, metric: Metric) -> Cut | str:
        """Rank all units by a metric, and cut as one threshold for the model says; or say why there is no ranking.

        It is the pattern of ``evop search --strategy oneshot --importance METRIC``.
        """
        try:
            importance = Importance(str(metric), metric, metric.expression)
            ranking = Ranking(metric_importance(importance, self.over, self.scores, self.statistics))
        except EvopError as error:
            return str(error)
        space = ranking.priced(self.evaluator.space)
        (pattern,) = make_strategy("oneshot", Budget(space, self.remove), 0).ask()
        return ranking.cut_of(space, pattern)

    def losses(self, cuts: Sequence[Cut], passages: TokenPassages) -> list[Losses]:
        """Measure cuts: the mean loss per group of each."""
        return [table.by_group for table in self.evaluator.of_cuts(cuts, passages)]

    def value(self, losses: Losses, dense: Losses) -> float:
        """Compute the objective; infinite where a loss is not a number."""
        excesses = np.array(list(excess(losses, dense).values()))
        return self.objective(excesses) if np.isfinite(excesses).all() else math.inf


def key_of(cut: Cut) -> Any:
    """Say what a cut takes out of a model: two metrics whose cuts agree in it are one."""
    return cut.gone, tuple(sorted(cut.kept.items()))
