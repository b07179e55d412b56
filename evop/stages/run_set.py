"""The set of a run: whether it is still the calibration set that the recipe asks for."""

from __future__ import annotations

import json
from pathlib import Path

from calibration import CalibrationError, Manifest, Recipe
from calibration.reading.sources import open_source
from evop.errors import EvopError


def refuse_another_set(manifest: Manifest, recipe: Recipe, place: Path) -> None:
    """Check that a set was built by this recipe from the same files; a file that is gone is not missed.

    Raises:
        EvopError: the set was built otherwise; says what differs.
    """
    new = "every later stage rests on it: give the recipe a new out"
    built, wanted = manifest.recipe.model_dump(mode="json"), recipe.model_dump(mode="json")
    for key, value in wanted.items():
        if built[key] != value:
            raise EvopError(
                f"{place} was built with calibration.{key} {_brief(built[key])}, the recipe has {_brief(value)}; {new}"
            )
    for domain in manifest.domains:
        for source in domain.sources:
            if source.sha256 and _sha256(domain.name, source.source) not in (None, source.sha256):
                raise EvopError(f"{source.source} was changed since {place} was built from it; {new}")


def _sha256(domain: str, source: str) -> str | None:
    """Hash a source of a domain; None where it is gone."""
    try:
        return open_source(domain, source).sha256
    except CalibrationError:
        return None


def _brief(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"
