"""Wanda-sp: weights of the output projection times the size of what runs into them."""

from __future__ import annotations

import numpy as np

from evop.importance.site import Site, on_cpu, widened
from evop.importance.statistics import SiteStatistics


def wanda(site: Site, statistics: SiteStatistics, _seed: int) -> np.ndarray:
    """Sum the mean over rows of |W_ij| times the RMS of input j over each unit's features; float64 [groups, units].

    Source: Wanda (Sun et al., arXiv 2306.11695, equation 1) in the structured form of FLAP's authors
    (arXiv 2312.11983); RMS for the L2 norm, so that groups of different length compare.
    """
    weights = on_cpu(widened(site.weight).abs().mean(dim=0), f"{site.part}: a weight")
    return site.by_unit(weights * statistics.rms)
