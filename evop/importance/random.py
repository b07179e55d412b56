"""No importance at all: the floor that every metric must beat."""

from __future__ import annotations

import hashlib

import numpy as np

from evop.importance.site import Site
from evop.importance.statistics import SiteStatistics


def random(site: Site, _statistics: SiteStatistics | None, seed: int) -> np.ndarray:
    """Uniform draws that depend on the seed and the part's name alone, float64 [1, units]."""
    digest = hashlib.sha256(f"{seed}/{site.part}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big")).random((1, site.units))
