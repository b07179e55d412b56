"""First-order Taylor: how the loss changes, to first order, when a unit is gated off."""

from __future__ import annotations

import numpy as np

from evop.importance.site import Site
from evop.importance.statistics import SiteStatistics


def taylor(site: Site, statistics: SiteStatistics, _seed: int) -> np.ndarray:
    """Sum w_ij * dL/dw_ij over the columns of ``out`` that each unit owns, in nats, absolute; float64 [groups, units].

    A gate on input j scales column j, so the sum over column j is the gate's gradient, and no gradient of a weight
    is needed. A unit's gates are added before the absolute value: they go off together.

    Source: LLM-Pruner (Ma et al., arXiv 2305.11627), vector-wise first order, on the last matrix of the group.
    """
    assert statistics.gradient is not None
    return np.abs(site.by_unit(statistics.gradient))
