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
    search = tokenize(calibration.split("search"), tokenizer, max_tokens)
    select = tokenize(calibration.split("select"), tokenizer, max_tokens)
    left_out: dict[str, str] = {}
    for group in (group for group in calibration.groups if not group.unseen):
        for name, passages in (("search", search), ("select", select)):
            tokens = passages.tokens_by_group.get(group.key, 0)
            if tokens < min_group_tokens:
                left_out[group.key] = f"{tokens} tokens in {name}, fewer than {min_group_tokens}"
    kept = [g.key for g in calibration.groups if not g.unseen and g.key not in left_out]
    if not kept:
        raise EvopError(
            f"no group of the calibration set has {min_group_tokens} tokens in search and in select; "
            "lower --min-group-tokens, or calibrate with more --passages or fewer --clusters"
        )
    return ObjectivePassages(search.only(kept), select.only(kept), left_out)
