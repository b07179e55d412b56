"""``evop calibrate``: from the text of several domains to a calibration set."""

from __future__ import annotations

from collections.abc import Callable

import calibration
from calibration import CalibrationSet, Recipe
from evop.stages.one_error import one_error


@one_error
def build_calibration_set(recipe: Recipe, *, report: Callable[[str], None] | None = None) -> CalibrationSet:
    """Build a calibration set: read, drop near-duplicates, embed, cluster each domain, split, sample.

    Args:
        recipe: the domains and tasks, and how they are sampled.
        report: is given one line per step.

    Raises:
        EvopError: a source that cannot be read, or has too little text.
    """
    return calibration.build_calibration_set(recipe, report=report)
