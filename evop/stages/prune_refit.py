"""The refit of ``evop prune --refit``: into a hidden folder beside the checkpoint, which goes when that is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.errors import EvopError
from evop.export.draft import refuse_out
from evop.files.names import REFIT
from evop.model.checkpoint import Checkpoint
from evop.recipes.refit import RefitRecipe
from evop.recovery.refit_file import RefitFile
from evop.recovery.refit_folder import RefitFolder
from evop.removal.opened import open_pattern
from evop.stages.refit import refit as refit_pattern


def refuse_idle(refit: str, calibration: object, audit: object) -> None:
    """Refuse options that say nothing together.

    Raises:
        EvopError: text to learn from and nothing that learns, or the audit of what is refitted only now.
    """
    if refit == "none" and calibration is not None:
        raise EvopError("--calibration is what --refit learns from; give --refit auto too, or leave it out")
    if refit != "none" and audit is not None:
        raise EvopError("--audit with --refit: no audit measured what is refitted now; evop refit, audit, then prune")


def refitted(
    model: str | Path,
    pattern: str | Path,
    calibration: str | Path | CalibrationSet | None,
    out: Path,
    how: dict[str, Any],
    report: Callable[[str], None],
) -> Path:
    """Refit a pattern into a hidden folder beside the checkpoint, or take what a stopped prune refitted there.

    Raises:
        EvopError: no calibration set, one without text to learn from, or another refit that lies there.
    """
    recipe = RefitRecipe.of(**how)
    if calibration is None:
        raise EvopError(f"--refit {recipe.refit} learns from text; give --calibration a set made with --train-tokens")
    refuse_out(out, 0)
    text = CalibrationSet.opened(calibration)
    place = _place(out)
    if not place.is_dir():
        refit_pattern(model, pattern, text, place, report=report, **how)
        return place
    opened, done = open_pattern(pattern, Checkpoint.find(model, recipe.revision)), RefitFile.read(place / REFIT)
    asked = recipe.model_dump(mode="json", exclude={"max_tokens"})
    same = asked.items() <= done.recipe.items() and done.calibration == text.fingerprint
    if not same or done.pattern_sha256 != opened.sha256:
        raise EvopError(
            f"{place} holds what another command refitted and was stopped; repeat that, or delete the folder"
        )
    return place


def forget_refitted(out: Path) -> None:
    """Delete the hidden folder: its work is in the checkpoint now, or was left by a prune that nobody went on with."""
    for place in (_place(out), RefitFolder.name(_place(out))):
        shutil.rmtree(place, ignore_errors=True)


def _place(out: Path) -> Path:
    return out.with_name(f".{out.name}.refitted")
