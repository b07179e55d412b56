"""What a metric gives the features of one site: its expression over what was measured there, group by group."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from evop.importance.site import Site, on_cpu, widened
from evop.importance.statistics import MEASURED, SiteStatistics
from evop.metrics.expression import BY_GROUP, WEIGHT_GRADIENTS, Expression
from evop.metrics.values import apply


@dataclass(eq=False)
class SiteScores:
    """Computes metrics at one site.

    A metric that differs from row to row is averaged over the rows. Where it is a product of something of the weights
    and something of the inputs alone, as most are, the mean is taken of the first, once for all groups and all metrics
    that share it.

    Attributes:
        site: the site.
        statistics: what was measured there; None where metrics read the weights alone.
    """

    site: Site
    statistics: SiteStatistics | None
    _known: dict[Expression, torch.Tensor] = field(default_factory=dict)

    def of(self, expression: Expression) -> np.ndarray:
        """Compute a metric: float64 [groups, values], one row where it reads nothing of the groups.

        Values are of features, those of a unit side by side; of units where the metric reads nothing else.
        """
        groups = range(len(self.statistics.mean)) if self.statistics and expression.terminals & BY_GROUP else range(1)
        rows = []
        for group in groups:
            found = self._over_rows(expression, _Group(self, group)).reshape(1, -1)
            rows.append(found.cpu().double().numpy())
        return np.broadcast_to(np.concatenate(rows), (len(rows), self._width(expression)))

    def _width(self, expression: Expression) -> int:
        return self.site.units if expression.terminals <= {"N"} else self.site.features

    def _over_rows(self, expression: Expression, group: _Group) -> torch.Tensor:
        """Take the mean of a metric over rows: [1, F], [1, units] or [1, 1]."""
        if not expression.by_row:
            return group.value(expression)
        free = not expression.terminals & BY_GROUP
        if free and expression in self._known:
            return self._known[expression]
        found = self._mean(expression, group)
        if free:
            self._known[expression] = found
        return found

    def _mean(self, expression: Expression, group: _Group) -> torch.Tensor:
        """Draw the mean into sums, and past factors that are the same for all rows."""
        name, arguments = expression.name, expression.arguments
        if name in ("add", "sub", "neg"):
            return apply(name, *(self._over_rows(argument, group) for argument in arguments))
        if name in ("mul", "div") and not arguments[1].by_row:
            return apply(name, self._over_rows(arguments[0], group), group.value(arguments[1]))
        if name == "mul" and not arguments[0].by_row:
            return apply(name, group.value(arguments[0]), self._over_rows(arguments[1], group))
        return group.value(expression).mean(dim=0, keepdim=True)

    @cached_property
    def _weight(self) -> torch.Tensor:
        weight = widened(self.site.weight)
        if not torch.isfinite(weight).all():
            on_cpu(weight, f"{self.site.part}: a weight")
        return weight

    def terminal(self, name: str, group: int) -> torch.Tensor:
        """Find a terminal: [out, F], [1, F] or [1, units]; what is of inputs is float64, on the CPU."""
        statistics = self.statistics
        if name == "W":
            return self._weight
        if name == "N":
            norms = [torch.linalg.vector_norm(widened(weight.detach()), dim=1) for weight in self.site.coupled]
            norm = torch.linalg.vector_norm(torch.stack(norms), dim=0, keepdim=True)
            return torch.from_numpy(on_cpu(norm, f"{self.site.part}: a weight"))
        assert statistics is not None, f"{name} was not measured"
        found = getattr(statistics, MEASURED[name])
        assert found is not None, "gradients were not measured"
        return found if name in WEIGHT_GRADIENTS else torch.from_numpy(found[[group]])

    def known(self, expression: Expression) -> torch.Tensor | None:
        """Find what was computed of the weights alone, if it is no larger than a row."""
        return self._known.get(expression)

    def keep(self, expression: Expression, found: torch.Tensor) -> None:
        """Keep what was computed of the weights alone, if it is no larger than a row."""
        if found.shape[0] == 1:
            self._known[expression] = found


@dataclass(frozen=True)
class _Group:
    """Computes expressions for one group at one site."""

    scores: SiteScores
    group: int

    def value(self, expression: Expression) -> torch.Tensor:
        """Compute an expression, whatever its shape."""
        if not expression.arguments:
            return self.scores.terminal(expression.name, self.group)
        free = not expression.terminals & BY_GROUP and not expression.by_row
        if free and (known := self.scores.known(expression)) is not None:
            return known
        found = apply(expression.name, *map(self.value, expression.arguments))
        if free:
            self.scores.keep(expression, found)
        return found
