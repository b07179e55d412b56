"""What makes a search this search and no other: the header of its log."""

from __future__ import annotations

from typing import Any

from calibration import CalibrationSet
from evop.load import LoadedModel
from evop.objective_passages import ObjectivePassages
from evop.recipe import SearchRecipe
from patterns import Budget


def identity_asked(recipe: SearchRecipe, calibration: CalibrationSet, budget: Budget) -> dict[str, Any]:
    """What makes a search this search and no other, as far as it is known before the model is loaded.

    Limits, device and batch size are not part of it.
    """
    space = budget.space
    return {
        "space": space.fingerprint,
        "calibration": calibration.fingerprint,
        "grain": space.grain,
        "deploy": space.deploy,
        "protected": sorted(space.protected),
        "remove": budget.remove,
        "cost": budget.cost,
        "strategy": recipe.strategy,
        "seed": recipe.seed,
        "objective": recipe.objective,
        "loss": "nll",
        "max_tokens": recipe.max_tokens,
        "min_group_tokens": recipe.min_group_tokens,
    }


def identity_found(loaded: LoadedModel, passages: ObjectivePassages) -> dict[str, Any]:
    """The rest: what the model's tokenizer made of the passages, and what it computes in."""
    return {
        "dtype": loaded.dtype,
        "search_tokens": passages.search.fingerprint,
        "select_tokens": passages.select.fingerprint,
    }
