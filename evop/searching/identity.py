"""The identity of a search, which makes it this search and no other: the header of its log."""

from __future__ import annotations

from typing import Any

from calibration import CalibrationSet
from evop.model.loaded import LoadedModel
from evop.removal.size import bare
from evop.searching.passages import ObjectivePassages
from evop.searching.plan import SearchPlan
from evop.searching.rankings import Rankings
from patterns import PatternSpace


def identity_asked(plan: SearchPlan, calibration: CalibrationSet) -> dict[str, Any]:
    """List what makes a search this search and no other, as far as it is known before the model is loaded.

    Limits, device, batch size, engine and store are not part of it.

    Args:
        plan: what is searched, and how.
        calibration: the calibration set.
    """
    recipe, budget = plan.recipe, plan.budget
    space = budget.space
    chosen = (
        *("strategy", "elitism", "patience", "seed", "objective", "tail", "loss", "scale"),
        *("importance", "importance_over", "fitness_on", "compensate", "max_tokens"),
        *("min_group_tokens", "min_group_items", "bounds"),
    )
    return {
        "model": space.origin["model"],
        "calibration": calibration.fingerprint,
        "grain": space.grain,
        "width_step": recipe.width_step,
        "deploy": space.deploy,
        "protected": sorted(space.protected),
        "remove": bare(budget.asked),
        "cost": recipe.costs,
        "fit_in": None if plan.memory is None else {"bytes": budget.fit_in, **vars(plan.memory)},
        **{name: space.origin[name] for name in ("latency",) if name in space.origin},
        **{name: getattr(recipe, name) for name in chosen},
        "tolerate": list(recipe.tolerate) or None,
        "starts": [list(pattern.levels) for pattern in plan.starts] or None,
        "hold_out_domain": sorted(recipe.hold_out_domain),
        "loss": recipe.loss.name,
    }


def identity_found(
    loaded: LoadedModel, passages: ObjectivePassages, space: PatternSpace, rankings: Rankings
) -> dict[str, Any]:
    """List the rest of the identity: dtype, tokens of the passages, and which units of the space leave when."""
    return {
        "dtype": loaded.dtype,
        "search_tokens": passages.search.fingerprint,
        "select_tokens": passages.select.fingerprint,
        "space": space.fingerprint,
        "halves": rankings.fingerprint,
    }
