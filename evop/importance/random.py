"""No importance at all: the floor that every metric must beat."""

from __future__ import annotations

import numpy as np

from calibration.seeded import generator
from evop.importance.site import Site
from evop.importance.statistics import SiteStatistics


def random(site: Site, _statistics: SiteStatistics | None, seed: int) -> np.ndarray:
    """Draw uniform numbers that depend on the seed and the part's name alone; float64 [1, units]."""
    return generator("order", seed, site.part).random((1, site.units))
