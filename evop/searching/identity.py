"""What makes a search this search and no other: the header of its log."""

from __future__ import annotations

from typing import Any

from calibration import CalibrationSet
from evop.model.loaded import LoadedModel
from evop.recipes.search import SearchRecipe
from evop.searching.passages import ObjectivePassages
from patterns import Budget, PatternSpace


def identity_asked(recipe: SearchRecipe, calibration: CalibrationSet, budget: Budget) -> dict[str, Any]:
    """What makes a search this search and no other, as far as it is known before the model is loaded.

    Limits, device, batch size, engine and store are not part of it.

    Args:
        recipe: with no ``auto`` left in it.
        calibration: the set.
        budget: its space may not yet know what units matter.
    """
    space = budget.space
    chosen = (
        *("strategy", "elitism", "patience", "seed", "objective", "loss", "scale"),
        *("importance", "importance_over", "compensate", "max_tokens", "min_group_tokens", "min_group_items", "bounds"),
    )
    return {
        "model": space.origin["model"],
        "calibration": calibration.fingerprint,
        "grain": space.grain,
        "width_step": recipe.width_step,
        "deploy": space.deploy,
        "protected": sorted(space.protected),
        "remove": budget.remove,
        "cost": budget.cost,
        **{name: space.origin[name] for name in ("latency",) if name in space.origin},
        **{name: getattr(recipe, name) for name in chosen},
    }


def identity_found(loaded: LoadedModel, passages: ObjectivePassages, space: PatternSpace) -> dict[str, Any]:
    """The rest: what the model's tokenizer made of the passages, what it computes in, which units leave when."""
    return {
        "dtype": loaded.dtype,
        "search_tokens": passages.search.fingerprint,
        "select_tokens": passages.select.fingerprint,
        "space": space.fingerprint,
    }
