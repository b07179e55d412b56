"""What a pattern takes out of a model, in the model's own terms: blocks that are gone, units that stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from evop.errors import EvopError
from patterns import Part

Place = tuple[str, int]
"""A block of a model: ``"attn"`` or ``"mlp"``, and its decoder layer."""


@dataclass(frozen=True)
class Cut:
    """What leaves a model.

    Attributes:
        gone: blocks that leave altogether.
        kept: blocks that are thinned -> the units that stay, ascending: channels, or key/value groups.
        bias: thinned blocks -> what is added to the output of their last projection in place of what its missing
            inputs gave on average, float32 [hidden]. Thinned blocks that are not named get nothing.
    """

    gone: frozenset[Place] = frozenset()
    kept: Mapping[Place, tuple[int, ...]] = field(default_factory=dict)
    bias: Mapping[Place, np.ndarray] = field(default_factory=dict)


def places(part: Part) -> tuple[Place, ...]:
    """The blocks a part is made of."""
    return tuple((kind, part.layer) for kind in (("attn", "mlp") if part.kind == "layer" else (part.kind,)))


def place_of(name: str) -> Place:
    """The block a part's name means.

    Raises:
        EvopError: not ``layers.NUMBER.attn`` or ``layers.NUMBER.mlp``.
    """
    words = name.split(".")
    if len(words) != 3 or words[0] != "layers" or not words[1].isdecimal() or words[2] not in ("attn", "mlp"):
        raise EvopError(f"part {name!r} is unknown; expected such as layers.3.attn or layers.3.mlp")
    return words[2], int(words[1])


def to_ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers as a person reads them.

    Example:
        >>> to_ranges([0, 1, 2, 5, 7, 8])
        '0-2,5,7-8'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def from_ranges(text: str) -> tuple[int, ...]:
    """The numbers of ``to_ranges``.

    Raises:
        EvopError: no such list, or not ascending.
    """
    numbers: list[int] = []
    for run in text.split(","):
        if not (ends := re.fullmatch("([0-9]+)(?:-([0-9]+))?", run)):
            raise EvopError(f"units {text[:60]!r}: expected ascending numbers and ranges, such as 0-2,5,7-8")
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last < first or (numbers and first <= numbers[-1]):
            raise EvopError(f"units {text[:60]!r} do not ascend; expected such as 0-2,5,7-8")
        numbers.extend(range(first, last + 1))
    return tuple(numbers)
