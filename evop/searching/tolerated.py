"""What every group of a search may lose."""

from __future__ import annotations

from calibration import CalibrationSet
from calibration.passage import domain_of
from evop.errors import EvopError
from evop.losses.tolerance import UNITS
from evop.recipes.search import SearchRecipe
from evop.tokens.passages import TokenPassages


def tolerated(recipe: SearchRecipe, calibration: CalibrationSet, passages: TokenPassages) -> dict[str, float] | None:
    """List what every group may lose, in the unit of its kind: group -> tolerance; None where nothing was said.

    Args:
        recipe: says what is tolerated.
        calibration: has the domains.
        passages: the passages of the groups.

    Raises:
        EvopError: a group of which nothing was said, or a domain that is not there.
    """
    if recipe.tolerances is None:
        return None
    recipe.tolerances.refuse_others([domain.name for domain in calibration.manifest.domains])
    kinds = {group: _kind(passages, i) for i, group in enumerate(passages.groups)}
    found = {group: recipe.tolerances.of(domain_of(group), kind) for group, kind in kinds.items()}
    lacking = next((group for group, tolerance in found.items() if tolerance is None), None)
    if lacking is not None:
        kind = kinds[lacking]
        raise EvopError(
            f"--tolerate {' '.join(recipe.tolerate)} says nothing of {domain_of(lacking)}, which is measured in "
            f"{UNITS[kind]}; add one for all others, such as --tolerate {'0.10' if kind == 'text' else '3%'}"
        )
    return {group: tolerance for group, tolerance in found.items() if tolerance is not None}


def _kind(passages: TokenPassages, i: int) -> str:
    return "text" if passages.item(i) is None else "item"
