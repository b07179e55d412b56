"""FLAP's WIFV: how much of the output is lost when an input is replaced by its mean."""

from __future__ import annotations

import numpy as np

from evop.importance.site import Site, on_cpu, widened
from evop.importance.statistics import SiteStatistics


def flap(site: Site, statistics: SiteStatistics, _seed: int) -> np.ndarray:
    """Sum Var(X_j) * ||W_:,j||^2 over the features of each unit; float64 [groups, units].

    Source: FLAP (An et al., arXiv 2312.11983), weighted input feature variance.
    """
    weights = on_cpu(widened(site.weight).square().sum(dim=0), f"{site.part}: a weight")
    return site.by_unit(weights * statistics.variance)
