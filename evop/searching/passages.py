"""The passages a search sees: which groups have enough tokens to be judged, and which are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calibration import CalibrationSet
from evop.errors import EvopError
from evop.tokens import TokenPassages, tokenize


@dataclass(frozen=True)
class ObjectivePassages:
    """What enters the objective.

    Attributes:
        search: passages the fitness sees, group-balanced order.
        select: passages that choose among finalists.
        left_out: group key -> why it does not enter the objective.
    """

    search: TokenPassages
    select: TokenPassages
    left_out: Mapping[str, str]

    @property
    def groups(self) -> tuple[str, ...]:
        """Keys of the groups in the objective."""
        return tuple(self.search.tokens_by_group)


def objective_passages(
    calibration: CalibrationSet, tokenizer: Any, max_tokens: int, min_group_tokens: int
) -> ObjectivePassages:
    """Tokenise ``search`` and ``select`` and keep the groups that have enough tokens in both.

    Raises:
        EvopError: no group has enough tokens.
    """
    sampled = {passage.group for passage in calibration.split("search")}
    search = tokenize(calibration.split("search"), tokenizer, max_tokens)
    select = tokenize(calibration.split("select"), tokenizer, max_tokens)
    candidates = [group.key for group in calibration.groups if not group.unseen]
    left_out: dict[str, str] = {}
    for group in candidates:
        found = {"search": search.tokens_by_group.get(group, 0), "select": select.tokens_by_group.get(group, 0)}
        few = [f"{tokens} tokens in {name}" for name, tokens in found.items() if tokens < min_group_tokens]
        if group not in sampled:
            left_out[group] = "no search passages in the calibration set"
        elif few:
            left_out[group] = f"{' and '.join(few)}, fewer than {min_group_tokens}"
    kept = [group for group in candidates if group not in left_out]
    if not kept:
        raise EvopError(
            f"no group of the calibration set has {min_group_tokens} tokens in search and in select; "
            "lower --min-group-tokens, or calibrate with more --passages or fewer --clusters"
        )
    return ObjectivePassages(search.only(kept), select.only(kept), left_out)
