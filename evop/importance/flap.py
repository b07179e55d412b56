"""FLAP's WIFV: how much of the output is lost when an input is replaced by its mean."""

from __future__ import annotations

import numpy as np

from evop.importance.site import Site, on_cpu, widened
from evop.importance.statistics import SiteStatistics


def flap(site: Site, statistics: SiteStatistics, _seed: int) -> np.ndarray:
    """Take Var(X_j) * ||W_:,j||^2 of every feature, squared where a unit owns several; float64 [groups, F].

    As published: of attention the metric is squared, and a head takes the mean over its features, after they were
    standardised over the layer (``Ranking.priced``). Ours are: units of several heads under grouped queries (published
    for one head of 128); the metric of each group of the sample by itself, all groups of equal weight; every token
    counted (the release leaves out its first sample).

    Source: FLAP (An et al., arXiv 2312.11983), weighted input feature variance, and its code.
    """
    weights = on_cpu(widened(site.weight).square().sum(dim=0), f"{site.part}: a weight")
    fluctuation = weights * statistics.variance
    return fluctuation**2 if site.features > site.units else fluctuation
