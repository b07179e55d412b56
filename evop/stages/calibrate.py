"""``evop calibrate``: from the text of several domains to a calibration set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import calibration
from calibration import CalibrationSet, Recipe
from calibration.calibration_set import refuse_foreign
from evop.files.lock import Writing
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


@one_error
def calibrate(
    recipe: Recipe, out: str | Path, *, report: Callable[[str], None] = lambda line: None, wait: bool = False
) -> CalibrationSet:
    """Build a calibration set and write it to a folder, as the only one who writes there.

    Args:
        recipe: the domains and tasks, and how they are sampled.
        out: the folder; one that holds a calibration set, and nothing else, is replaced.
        report: is given one line per step.
        wait: whether to wait for another process that writes to the folder; else that is an error.

    Raises:
        EvopError: a source that cannot be read or has too little text, a folder that holds something else, or another
            writer.
    """
    safe = f"nothing was written to {out}, and the same command builds it anew"
    with Writing("calibrate", Path(out), safe, wait, report).beside():
        refuse_foreign(Path(out))
        built = calibration.build_calibration_set(recipe, report=report)
        built.save(out)
    return built
