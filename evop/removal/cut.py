"""What a pattern takes out of a model, in the model's own terms: blocks that are gone, units that stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from evop.errors import EvopError
from evop.model.families.family import BLOCK_KINDS, BlockKind
from patterns import Part, PartKind

if TYPE_CHECKING:
    import torch

PART_KINDS: tuple[PartKind, ...] = ("layer", *BLOCK_KINDS)
"""All kinds of part."""
Place = tuple[BlockKind, int]
"""A block of a model: its kind, and its decoder layer."""


@dataclass(frozen=True, eq=False)  # by identity: two cuts that share one agree in that block
class Weight:
    """The weight that a projection has got anew.

    Attributes:
        values: of a last projection [hidden, features that stay]; in the dtype that it is stored in.
        reads: where it is of a last projection: names of the other matrices of its block that have got new weights, and
            these, whole and the way round that the model keeps them.
    """

    values: torch.Tensor
    reads: Mapping[str, Weight] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        return int(self.values.nbytes) + sum(weight.nbytes for weight in self.reads.values())


@dataclass(frozen=True)
class Cut:
    """What leaves a model.

    Attributes:
        gone: blocks that leave altogether.
        kept: blocks that are thinned -> the units that stay, ascending: channels, or key/value groups.
        bias: thinned blocks -> what is added to the output of their last projection in place of what its missing
            inputs gave on average, float32 [hidden]. Thinned blocks that are not named get nothing.
        weights: blocks that stay, thinned or not -> the new weight of their last projection, and of what they read with
            where that is new too; the others keep theirs.
        matrices: whole blocks -> name of a matrix inside the decoder layer -> its new weight, with zeros, the way round
            that the model keeps it; a block with such weights is in none of the others.
    """

    gone: frozenset[Place] = frozenset()
    kept: Mapping[Place, tuple[int, ...]] = field(default_factory=dict)
    bias: Mapping[Place, np.ndarray] = field(default_factory=dict)
    weights: Mapping[Place, Weight] = field(default_factory=dict)
    matrices: Mapping[Place, Mapping[str, Weight]] = field(default_factory=dict)

    @property
    def changed(self) -> tuple[Place, ...]:
        """Blocks that stay, but not as they were."""
        return tuple(sorted(self.kept.keys() | self.weights.keys() | self.matrices.keys()))


def places(part: Part) -> tuple[Place, ...]:
    """List the blocks a part is made of: both of a whole layer, else one."""
    return tuple((kind, part.layer) for kind in BLOCK_KINDS if part.kind in ("layer", kind))


def part_name(kind: PartKind, layer: int) -> str:
    """Name a part as patterns and files do.

    Example:
        >>> part_name("mlp", 3), part_name("layer", 3)
        ('layers.3.mlp', 'layers.3')
    """
    return f"layers.{layer}" if kind == "layer" else f"layers.{layer}.{kind}"


def place_of(name: str) -> Place:
    """Find the block that a part's name means.

    Raises:
        EvopError: not ``layers.NUMBER.attn`` or ``layers.NUMBER.mlp``.
    """
    words = name.split(".")
    kind = next((kind for kind in BLOCK_KINDS if kind == words[-1]), None)
    if kind is None or len(words) != 3 or words[0] != "layers" or not re.fullmatch("[0-9]{1,6}", words[1]):
        raise EvopError(f"part {name[:60]!r} is unknown; expected such as layers.3.attn or layers.3.mlp")
    return kind, int(words[1])


def places_of(name: str) -> tuple[Place, ...]:
    """Find the blocks that a part's name means; a whole layer is two.

    Raises:
        EvopError: no name of a part.
    """
    return (place_of(name),) if name.count(".") == 2 else tuple(place_of(f"{name}.{kind}") for kind in BLOCK_KINDS)


def to_ranges(numbers: Iterable[int]) -> str:
    """Write ascending numbers as a person reads them.

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
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def from_ranges(text: str) -> tuple[int, ...]:
    """Read the numbers that ``to_ranges`` wrote.

    Raises:
        EvopError: no such list, or not ascending.
    """
    numbers: list[int] = []
    for run in text.split(","):
        if not (ends := re.fullmatch("([0-9]{1,6})(?:-([0-9]{1,6}))?", run)):
            raise EvopError(f"units {text[:60]!r}: expected ascending numbers and ranges, such as 0-2,5,7-8")
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last < first or (numbers and first <= numbers[-1]):
            raise EvopError(f"units {text[:60]!r} do not ascend; expected such as 0-2,5,7-8")
        numbers.extend(range(first, last + 1))
    return tuple(numbers)
