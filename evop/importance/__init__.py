"""How much the units of a part matter, by a metric that has a name or is written out.

A metric gives each unit one value, or one per input feature that the unit owns, side by side; a unit matters as much as
its values do on average. A metric that reads nothing of the groups gives a single row. Light to import.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibration.passage import domain_of
from calibration.seeded import generator
from evop.errors import NOT_FINITE, EvopError, refuse_unknown
from evop.importance.over_groups import OVERS, over_of
from evop.metrics.expression import BY_GROUP, GRADIENTS, TERMINALS, WEIGHT_GRADIENTS, Expression
from evop.metrics.metric import Metric
from evop.metrics.published import PUBLISHED

if TYPE_CHECKING:
    from evop.importance.scores import SiteScores
    from evop.importance.site import Site
    from evop.importance.statistics import Statistics

RANDOM = "random"
"""No importance at all: the floor that every metric must beat."""
IMPORTANCES = (*PUBLISHED, RANDOM)
"""The metrics that have a name."""


@dataclass(frozen=True)
class Importance:
    """An importance metric.

    Attributes:
        name: what it is called, or how it is written out.
        metric: its expression for units of one feature, and the shares of domains; None for ``random``.
        heads: its expression for units of several features.
    """

    name: str
    metric: Metric | None = None
    heads: Expression | None = None

    def of(self, site: Site) -> Expression:
        """Choose the expression for a site."""
        assert self.metric is not None
        assert self.heads is not None
        return self.heads if site.features > site.units else self.metric.expression

    @property
    def draw(self) -> str:
        """Which half of every group's passages the metric reads; "" where it reads all."""
        return self.metric.draw if self.metric else ""

    @property
    def terminals(self) -> frozenset[str]:
        """What the metric reads."""
        return self.metric.expression.terminals if self.metric else frozenset()

    @property
    def by_group(self) -> bool:
        """Whether the metric tells groups apart."""
        return bool(self.terminals & BY_GROUP)

    @property
    def needs_data(self) -> bool:
        """Whether the metric reads statistics."""
        return self.by_group or self.of_weights

    @property
    def needs_gradients(self) -> bool:
        """Whether the statistics must hold gradients."""
        return bool(self.terminals & GRADIENTS)

    @property
    def of_weights(self) -> bool:
        """Whether the statistics must hold gradients of weights."""
        return bool(self.terminals & WEIGHT_GRADIENTS)


def importance_of(name: str) -> Importance:
    """Find a metric by name, or read it.

    Raises:
        EvopError: unknown name, or a line that is no metric.
    """
    if name in PUBLISHED:
        named = PUBLISHED[name]
        return Importance(name, named.metric, named.heads)
    if name == RANDOM:
        return Importance(name)
    if name.isidentifier() and name not in TERMINALS:
        refuse_unknown("--importance", name, IMPORTANCES)
    metric = Metric.parse(name)
    return Importance(str(metric), metric, metric.expression)


def unit_importance(
    metric: str, over: str, sites: Sequence[Site], statistics: Statistics | None, seed: int
) -> dict[str, np.ndarray]:
    """Measure how much each unit of each part matters.

    Each group's values are divided by their mean over the part, so that groups have equal weight, and then combined. So
    values rank the units of one part; they say nothing of one part against another. Where a metric goes below zero, a
    group's least value over the part is subtracted first.

    Args:
        metric: a name of ``IMPORTANCES``, or a metric written out.
        over: ``"mean"`` or ``"worst"``: how the groups are combined.
        sites: the sites of the parts.
        statistics: what ``gather`` measured at the sites; None for a metric that needs no data.
        seed: seed of ``random``; the other metrics do not read it.

    Returns:
        Part name -> float64 [units, values of a unit], finite and >= 0; a unit's importance is their mean.

    Raises:
        EvopError: unknown metric or combination, or values that are not finite.
    """
    importance = importance_of(metric)
    if importance.metric is None:
        over_of(over)
        drawn = {site.part: generator("order", seed, site.part).random((site.units, 1)) for site in sites}
        return {part: values / values.mean() for part, values in drawn.items()}
    return metric_importance(importance, over, scores_of(sites, statistics), statistics)


def scores_of(sites: Sequence[Site], statistics: Statistics | None) -> list[SiteScores]:
    """Make what computes metrics at the sites; it keeps what several metrics share."""
    from evop.importance.scores import SiteScores

    return [SiteScores(site, statistics.sites[site.part] if statistics else None) for site in sites]


def metric_importance(
    importance: Importance, over: str, scores: Sequence[SiteScores], statistics: Statistics | None
) -> dict[str, np.ndarray]:
    """Measure units by a metric that has an expression, as ``unit_importance`` does."""
    combine, importances = over_of(over), {}
    assert importance.metric is not None
    assert statistics is not None or not importance.needs_data
    share = shares_of(importance.metric, statistics) if importance.by_group and statistics else None
    for site_scores in scores:
        site = site_scores.site
        values = site_scores.of(importance.of(site))
        if not np.isfinite(values).all():
            raise EvopError(
                f"--importance {importance.name}: {site.part} has units whose importance is not a finite number; "
                f"{NOT_FINITE}"
            )
        values = values - np.minimum(values.min(axis=1, keepdims=True), 0)
        means = values.mean(axis=1, keepdims=True)
        # Where a group's values are all zero, it tells no units apart, and dividing by one leaves them zero.
        shares = values / np.where(means > 0, means, 1.0)
        if share is not None:
            shares = shares[share > 0] * (share[share > 0] / share[share > 0].mean())[:, None]
        importances[site.part] = combine(shares.reshape(len(shares), site.units, -1))
    return importances


def refuse_strangers(metric: Metric | None, groups: Iterable[str]) -> None:
    """Check that whatever a metric gives a share is there, before anything is measured, be it read or not.

    Args:
        metric: the metric; None for one that gives no shares.
        groups: keys of the groups of text that are measured on.

    Raises:
        EvopError: a domain or group that is not there.
    """
    known = {name for group in groups for name in (group, domain_of(group))}
    if metric is not None and (strangers := sorted(set(metric.by_name) - known)):
        raise EvopError(
            f"--importance {metric}: no domain or group of text is called {strangers[0]}; there are "
            f"{', '.join(sorted(known))}"
        )


def shares_of(metric: Metric, statistics: Statistics) -> np.ndarray | None:
    """Say what each group counts, by its own name or its domain's: float64 [groups]; None where all count alike.

    Raises:
        EvopError: no group counts.
    """
    named: Mapping[str, float] = metric.by_name
    if not named:
        return None
    share = np.array([named.get(group, named.get(domain_of(group), 1.0)) for group in statistics.groups])
    if not share.any():
        raise EvopError(f"metric {metric}: no group counts; give one of them a share above 0")
    return share


__all__ = [
    "IMPORTANCES",
    "OVERS",
    "Importance",
    "importance_of",
    "metric_importance",
    "over_of",
    "refuse_strangers",
    "scores_of",
    "shares_of",
    "unit_importance",
]
