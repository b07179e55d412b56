"""Importance by the size of the weights; needs no data."""

from __future__ import annotations

import numpy as np
import torch

from evop.importance.site import Site, on_cpu, widened
from evop.importance.statistics import SiteStatistics


def magnitude(site: Site, _statistics: SiteStatistics | None, _seed: int) -> np.ndarray:
    """Take the L2 norm over all coupled weights of each unit; float64 [1, units].

    Source: Li et al., "Pruning filters for efficient ConvNets" (arXiv 1608.08710), taken to the coupled group and L2.
    """
    norms = torch.stack([torch.linalg.vector_norm(widened(weight.detach()), dim=1) for weight in site.coupled])
    return on_cpu(torch.linalg.vector_norm(norms, dim=0, keepdim=True), f"{site.part}: a weight")
