"""How much every single weight matters, by any metric, and which of them leave."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from calibration.seeded import generator
from evop.errors import EvopError, refuse_unknown
from evop.importance import RANDOM, shares_of
from evop.importance.site import Site, widened
from evop.importance.statistics import MEASURED, SiteStatistics, Statistics, gather
from evop.metrics.expression import BY_ROW, GRADIENTS, TERMINALS
from evop.metrics.metric import Metric
from evop.metrics.published import PUBLISHED
from evop.metrics.values import value
from evop.removal.cut import Place
from evop.removal.matrices import Masks, Matrix
from evop.removal.sparsity import Sparsity
from evop.tokens.passages import TokenPassages

OF_WEIGHTS = (*(name for name, named in PUBLISHED.items() if named.weights), RANDOM)
"""The metrics of weights that have a name."""


def weight_metric(name: str) -> Metric | None:
    """Find a metric of weights by name, or read it; None for ``random``.

    Raises:
        EvopError: unknown name, a line that is no metric, or a metric of units alone.
    """
    if name == RANDOM:
        return None
    if name in PUBLISHED or (name.isidentifier() and name not in TERMINALS):
        if name in PUBLISHED and name not in OF_WEIGHTS:
            raise EvopError(
                f"--importance {name} is a metric of units, not of weights; choose {', '.join(OF_WEIGHTS)}, or write "
                "one out"
            )
        refuse_unknown("--importance", name, OF_WEIGHTS)
        return PUBLISHED[name].weights
    metric = Metric.parse(name)
    if "N" in metric.expression.terminals:
        raise EvopError(f"--importance {metric}: N is the norm of a unit, and weights leave one by one; use |W|")
    return metric


def passes_of(metrics: Sequence[Metric | None]) -> int:
    """Count how often the passages go through the model for some metrics; a backward pass counts as two."""
    read = frozenset[str]().union(*(metric.expression.terminals for metric in metrics if metric))
    return 3 if read & GRADIENTS else int(bool(read & MEASURED.keys()))


@dataclass
class WeightScores:
    """What metrics of weights read at every matrix of a decoder.

    Groups count alike, or by the shares that a metric names; ``G`` is of all groups together.

    Attributes:
        matrices: the matrices.
        statistics: what was measured of their inputs; None for metrics that read the weights alone.
        seed: seed of ``random``.
    """

    matrices: Sequence[Matrix]
    statistics: Statistics | None = None
    seed: int = 0

    @classmethod
    def gathered(
        cls,
        model: nn.Module,
        matrices: Sequence[Matrix],
        passages: TokenPassages,
        batch_tokens: int,
        *,
        gradients: bool,
    ) -> WeightScores:
        """Measure what metrics read, in one pass; float32 [out, in] a matrix where there are gradients."""
        sites = [_site(matrix) for matrix in matrices]
        return cls(matrices, gather(model, sites, passages, batch_tokens, gradients=gradients, of_weights=gradients))

    def of(self, matrix: Matrix, metric: Metric | None) -> torch.Tensor:
        """Compute a metric at a matrix: float32 at least, [out, in]; None is a metric drawn at random."""
        weight = widened(matrix.weight)
        if metric is None:
            drawn = generator("weights", self.seed, matrix.key).random(tuple(weight.shape), dtype=np.float32)
            return torch.from_numpy(drawn)
        terminals = {"W": weight}
        for name in metric.expression.terminals - {"W"}:
            terminals[name] = self._measured(matrix, metric, name)
        return value(metric.expression, terminals).expand_as(weight)

    def masks(self, metric: Metric | None, sparsity: Sparsity) -> Masks:
        """Say which weights stay.

        Raises:
            EvopError: a metric that is no number somewhere, or rows that do not part into groups of M.
        """
        masks: dict[Place, dict[str, torch.Tensor]] = {}
        for matrix in self.matrices:
            scores = self.of(matrix, metric)
            if torch.isnan(scores).any():
                raise EvopError(f"--importance {metric}: it is no number at some weights of {matrix.key}; use another")
            stays = sparsity.stays(scores, matrix.place[1], matrix.key)
            masks.setdefault(matrix.place, {})[matrix.name] = stays.cpu()
        return masks

    def _measured(self, matrix: Matrix, metric: Metric, name: str) -> torch.Tensor:
        statistics = self.statistics
        assert statistics is not None, f"{name} was not measured"
        site: SiteStatistics = statistics.sites[matrix.key]
        found = getattr(site, MEASURED[name])
        assert found is not None, f"{name} was not measured"
        if name in BY_ROW:
            return found
        mean = np.average(found, axis=0, weights=shares_of(metric, statistics))
        return torch.from_numpy(mean).float()[None]


def digest_of(masks: Masks) -> str:
    """Hash which weights stay: sha256, in hexadecimal."""
    found = hashlib.sha256()
    for place in sorted(masks):
        for name in sorted(masks[place]):
            found.update(f"{place} {name}\n".encode())
            found.update(np.packbits(masks[place][name].numpy()).tobytes())
    return found.hexdigest()


def _site(matrix: Matrix) -> Site:
    return Site(matrix.key, matrix.module, matrix.weight.shape[1], ())
