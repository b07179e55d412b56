"""First-order Taylor: how the loss changes, to first order, when an input is gated off."""

from __future__ import annotations

import numpy as np

from evop.importance.site import Site
from evop.importance.statistics import SiteStatistics


def taylor(_site: Site, statistics: SiteStatistics, _seed: int) -> np.ndarray:
    """Sum w_ij * dL/dw_ij over each column j of ``out``, in nats, absolute; float64 [groups, F].

    A gate on input j scales column j, so the sum over column j is the gate's gradient, and no gradient of a weight
    is needed.

    Ours are: the last matrix of a group alone (the release adds the same sum of every coupled matrix); the first order
    only (its other choices add a second, or take each weight's own absolute value); each group of the sample by itself.

    Source: LLM-Pruner (Ma et al., arXiv 2305.11627), vector-wise importance, and its code: absolute values per
    channel, a head the sum of its channels.
    """
    assert statistics.gradient is not None
    return np.abs(statistics.gradient)
