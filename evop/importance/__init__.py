"""How much the units of a part matter, and the table of all metrics.

A metric is a function ``(site, statistics, seed) -> float64 [groups, values]``, every value >= 0, larger matters more.
It gives each unit one value, or one per input feature that the unit owns, side by side; a unit matters as much as its
values do on average. A metric that reads no data gives a single row. Light to import: a metric's file is loaded when it
is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evop.errors import EvopError, refuse_unknown
from evop.importance.over_groups import OVERS, over_of

if TYPE_CHECKING:
    from evop.importance.site import Site
    from evop.importance.statistics import Statistics


@dataclass(frozen=True)
class Importance:
    """An importance metric.

    Attributes:
        function: where the metric is, as ``module:function``.
        needs_data: whether the metric reads statistics.
        needs_gradients: whether the statistics must hold gate gradients.
    """

    function: str
    needs_data: bool = False
    needs_gradients: bool = False


IMPORTANCES: dict[str, Importance] = {
    "magnitude": Importance("evop.importance.magnitude:magnitude"),
    "wanda": Importance("evop.importance.wanda:wanda", needs_data=True),
    "flap": Importance("evop.importance.flap:flap", needs_data=True),
    "taylor": Importance("evop.importance.taylor:taylor", needs_data=True, needs_gradients=True),
    "random": Importance("evop.importance.random:random"),
}


def importance_of(name: str) -> Importance:
    """Find a metric by name.

    Raises:
        EvopError: unknown name.
    """
    refuse_unknown("--importance", name, IMPORTANCES)
    return IMPORTANCES[name]


def unit_importance(
    metric: str, over: str, sites: Sequence[Site], statistics: Statistics | None, seed: int
) -> dict[str, np.ndarray]:
    """Measure how much each unit of each part matters.

    Each group's values are divided by their mean over the part, so that groups have equal weight, and then combined. So
    values rank the units of one part; they say nothing of one part against another.

    Args:
        metric: a name of ``IMPORTANCES``.
        over: ``"mean"`` or ``"worst"``: how the groups are combined.
        sites: the sites of the parts.
        statistics: what ``gather`` measured at the sites; None for a metric that needs no data.
        seed: seed of ``random``; the other metrics do not read it.

    Returns:
        Part name -> float64 [units, values of a unit], finite and >= 0; a unit's importance is their mean.

    Raises:
        EvopError: unknown metric or combination, or values that are not finite.
    """
    importance, combine = importance_of(metric), over_of(over)
    assert statistics is not None or not importance.needs_data
    module, _, function = importance.function.partition(":")
    score = getattr(importlib.import_module(module), function)
    importances = {}
    for site in sites:
        values = score(site, statistics.sites[site.part] if importance.needs_data and statistics else None, seed)
        if not np.isfinite(values).all():
            raise EvopError(
                f"--importance {metric}: {site.part} has units whose importance is not a finite number; "
                "use --dtype bfloat16 or float32, or check the model's weights"
            )
        means = values.mean(axis=1, keepdims=True)
        # Where a group's values are all zero, it tells no units apart, and dividing by one leaves them zero.
        shares = values / np.where(means > 0, means, 1.0)
        importances[site.part] = combine(shares.reshape(len(shares), site.units, -1))
    return importances


__all__ = ["IMPORTANCES", "OVERS", "Importance", "importance_of", "over_of", "unit_importance"]
