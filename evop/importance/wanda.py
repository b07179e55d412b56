"""Wanda-sp: weights of the output projection times the size of what runs into them."""

from __future__ import annotations

import numpy as np

from evop.importance.site import Site, on_cpu, widened
from evop.importance.statistics import SiteStatistics


def wanda(site: Site, statistics: SiteStatistics, _seed: int) -> np.ndarray:
    """Take the mean over rows of |W_ij| times the RMS of input j, of every feature j; float64 [groups, F].

    Ours are: RMS for the L2 norm, so that groups of different length compare; every layer's inputs are those of the
    dense model (the release prunes layer by layer, and runs each on what the pruned layers before it put out); how much
    each layer loses is left to the search or to one ranking (the release takes the same share of every layer).

    Source: Wanda (Sun et al., arXiv 2306.11695, equation 1) in the structured form of FLAP's authors, Wanda-sp
    (arXiv 2312.11983, and its code).
    """
    weights = on_cpu(widened(site.weight).abs().mean(dim=0), f"{site.part}: a weight")
    return weights * statistics.rms
