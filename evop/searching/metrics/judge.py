"""What a metric is judged by: the one pattern that it ranks, or the weights that leave by it, measured on passages."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.importance import Importance, metric_importance
from evop.importance.scores import SiteScores
from evop.importance.statistics import Statistics
from evop.importance.weights import WeightScores, digest_of
from evop.losses.objectives import Objective
from evop.losses.table import excess
from evop.metrics.metric import Metric
from evop.removal.cut import Cut, Place, Weight
from evop.removal.matrices import Matrix
from evop.removal.ranking import Ranking
from evop.removal.sparsity import Sparsity
from evop.tokens.passages import TokenPassages
from patterns import Budget, make_strategy

Losses = Mapping[str, float]


@dataclass(frozen=True)
class Judge(ABC):
    """Judges metrics.

    Attributes:
        evaluator: the dense model, and the space; it knows no ranking.
        objective: makes a number of the groups' excess.
    """

    evaluator: Evaluator
    objective: Objective
    at_once: ClassVar[int] = 16
    """Cuts that are held in memory, and measured together, at most."""

    @abstractmethod
    def cut(self, metric: Metric) -> Cut | str:
        """Cut what a metric says leaves first; or say why it says nothing."""

    @abstractmethod
    def key(self, cut: Cut) -> Any:
        """Say what a cut takes out of a model: two metrics whose cuts agree in it are one."""

    def losses(self, cuts: Sequence[Cut], passages: TokenPassages) -> list[Losses]:
        """Measure cuts: the mean loss per group of each."""
        return [table.by_group for table in self.evaluator.of_cuts(cuts, passages)]

    def value(self, losses: Losses, dense: Losses) -> float:
        """Compute the objective; infinite where a loss is not a number."""
        excesses = np.array(list(excess(losses, dense).values()))
        return self.objective(excesses) if np.isfinite(excesses).all() else math.inf


@dataclass(frozen=True)
class MetricJudge(Judge):
    """Judges metrics by the units that leave.

    Attributes:
        remove: fraction of the decoder's parameters that leaves.
        over: how groups are combined.
        measured: name of a draw, or "" -> what computes metrics at the sites, and what was measured there.
    """

    remove: float
    over: str
    measured: Callable[[str], tuple[Sequence[SiteScores], Statistics]]

    def cut(self, metric: Metric) -> Cut | str:
        """Rank all units by a metric, and cut as one threshold for the model says; or say why there is no ranking.

        It is the pattern of ``evop search --strategy oneshot --importance METRIC``.
        """
        measured = self.measured(metric.draw)
        try:
            importance = Importance(str(metric), metric, metric.expression)
            ranking = Ranking(metric_importance(importance, self.over, *measured))
        except EvopError as error:
            return str(error)
        space = ranking.priced(self.evaluator.space)
        (pattern,) = make_strategy("oneshot", Budget(space, self.remove), 0).ask()
        return ranking.cut_of(space, pattern)

    def key(self, cut: Cut) -> Any:
        """Say which blocks and units leave."""
        return cut.gone, tuple(sorted(cut.kept.items()))


@dataclass(frozen=True)
class WeightJudge(Judge):
    """Judges metrics by the weights that leave one by one.

    Attributes:
        sparsity: how many of every row.
        matrices: the matrices that they leave.
        measured: name of a draw, or "" -> what metrics read at every matrix.
    """

    sparsity: Sparsity
    matrices: Sequence[Matrix]
    measured: Callable[[str], WeightScores]
    at_once: ClassVar[int] = 1  # a cut is a copy of the decoder

    def cut(self, metric: Metric) -> Cut | str:
        """Set the weights to zero that ``evop prune --grain weight --importance METRIC`` does; or say why it cannot."""
        scores = self.measured(metric.draw)
        try:
            masks = scores.masks(metric, self.sparsity)
        except EvopError as error:
            return str(error)
        found: dict[Place, dict[str, Weight]] = {}
        for matrix in self.matrices:
            stays = masks[matrix.place][matrix.name].to(matrix.weight.device)
            values = matrix.turned(matrix.weight.masked_fill(~stays, 0))
            found.setdefault(matrix.place, {})[matrix.name] = Weight(values)
        return Cut(matrices=found)

    def key(self, cut: Cut) -> str:
        """Hash which weights are zero."""
        return digest_of(
            {
                place: {name: (weight.values != 0).cpu() for name, weight in matrices.items()}
                for place, matrices in cut.matrices.items()
            }
        )
