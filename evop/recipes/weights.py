"""The recipe of weights that leave one by one: how many, by which metric, on which text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import field_validator

from evop.errors import EvopError, refuse_unknown
from evop.model.families.family import GRAINS, WEIGHT
from evop.recipes.execution import Execution
from evop.recipes.option import GROUPS, WEIGHTS, option
from evop.removal.sparsity import Sparsity

LEAST_SQUARES = "least-squares"
"""The refit of weights that leave one by one; the other ways fill zeros."""
Remove = Annotated[
    tuple[float, ...] | None,
    option("Fraction of every row that becomes zero, such as 0.5; or one a layer, commas between.", WEIGHTS),
]
NOfM = Annotated[str | None, option("N:M instead: N of M neighbours of a row stay, such as 2:4.", WEIGHTS)]


class WeightRecipe(Execution):
    """Weights that leave one by one, and become zero: of every row of every matrix of the decoder's blocks."""

    remove: Remove = None
    sparsity: NOfM = None
    importance: Annotated[
        str,
        option(
            "Which weights leave first: wanda, magnitude, ria, taylor, pruner-zero or random; a metric written out, or "
            "one that evop metric found (its folder).",
            WEIGHTS,
        ),
    ] = "wanda"
    seed: Annotated[int, option("Seed of --importance random.", WEIGHTS, ge=0)] = 0
    max_tokens: Annotated[int, option("Tokens per passage at most.", GROUPS, ge=2)] = 512
    min_group_tokens: Annotated[
        int, option("Tokens that a group needs, in search and in select, to be measured on.", GROUPS, ge=1)
    ] = 256

    @field_validator("remove", mode="before")
    @classmethod
    def _as_typed(cls, value: Any) -> Any:
        return shares_as_typed(value)

    @property
    def asked(self) -> Sparsity:
        """How many weights leave.

        Raises:
            EvopError: both ways of saying it, or neither.
        """
        return sparsity_of(self.remove, self.sparsity)


def shares_as_typed(value: Any) -> Any:
    """Read one share, or one a layer with commas between, as on the command line."""
    if isinstance(value, str):
        return tuple(value.split(","))
    return (value,) if isinstance(value, int | float) else value


def sparsity_of(remove: tuple[float, ...] | None, sparsity: str | None) -> Sparsity:
    """Read how many weights leave.

    Raises:
        EvopError: both ways of saying it, or neither, or what is no such thing.
    """
    if (remove is None) == (sparsity is None):
        found = "neither" if remove is None else "both"
        raise EvopError(f"--grain weight takes --remove 0.5 or --sparsity 2:4, found {found}; give one of them")
    return Sparsity.read(sparsity if sparsity is not None else ",".join(map(str, remove or ())))


def refuse_grain(grain: str) -> None:
    """Refuse every grain but that of weights.

    Raises:
        EvopError: says what to do instead.
    """
    if grain in GRAINS:
        raise EvopError(
            f"--grain {grain} is searched: evop search --grain {grain}, then evop prune --pattern; here it may be "
            f"{WEIGHT} alone"
        )
    refuse_unknown("--grain", grain, (WEIGHT,))


def refuse_weight_options(options: Mapping[str, object]) -> None:
    """Refuse options that say nothing of a pattern.

    Raises:
        EvopError: names the first of them.
    """
    idle = next((name for name in options if name not in ("revision", "trust_remote_code")), None)
    if idle is not None:
        raise EvopError(
            f"--{idle.replace('_', '-')} is for --grain {WEIGHT}; the pattern says already what leaves: leave it out"
        )


def refuse_weights(pattern: object, refit: str, audit: object) -> None:
    """Refuse what does not go with weights that leave one by one.

    Raises:
        EvopError: says what, and what to do instead.
    """
    if pattern is not None:
        raise EvopError(
            f"--pattern {pattern} with --grain {WEIGHT}: weights leave one by one of the dense model alone, and no "
            "pattern, mixed or other, holds both units and zeros yet; give one of them"
        )
    if refit not in ("none", LEAST_SQUARES):
        raise EvopError(
            f"--refit {refit} with --grain {WEIGHT} would fill zeros; give --refit {LEAST_SQUARES}, which keeps them"
        )
    if audit is not None:
        raise EvopError(f"--audit with --grain {WEIGHT}: no audit measured what is made only now; audit the checkpoint")
