"""Parts of a model with their ladders of levels, and patterns, which choose one level per part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

PartKind = Literal["layer", "attn", "mlp"]
"""What a part is in its layer: all of it, its attention or its MLP."""


@dataclass(frozen=True)
class Cost:
    """What some units of a model cost.

    Attributes:
        params: number of parameters.
        flops: floating-point operations per token, at the context length the space was built for.
        kv: bytes of key/value cache per token.
        latency: nanoseconds of a stated workload on a stated device; 0 where none was measured.
        memory: bytes of weights and cache at a stated context, batch and dtype; 0 where none was stated.
    """

    params: int = 0
    flops: int = 0
    kv: int = 0
    latency: int = 0
    memory: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.params + other.params,
            self.flops + other.flops,
            self.kv + other.kv,
            self.latency + other.latency,
            self.memory + other.memory,
        )


COSTS = ("params", "flops", "kv", "latency")
"""Names of the costs of which a fraction may be asked; ``memory`` has a limit instead."""


@dataclass(frozen=True)
class Part:
    """One prunable place of one layer, with its ladder of levels.

    Attributes:
        name: the part's name as a person reads it and a pattern file writes it, such as ``layers.3.attn``.
        layer: index of the decoder layer.
        kind: ``"layer"``, ``"attn"`` or ``"mlp"``.
        removed: the cost removed at each level, cumulative; level 0 is dense and removes nothing.
        units: the number of units (channels, key/value groups) removed at each level; empty where the part has no
            units to count and is either there or gone.
        prices: for each level from 1 on, the share of the part's importance that is gone half-way through the level;
            ascending, in (0, 1). Empty: every level weighs the same.
        scores: for each level from 1 on, the importance of what leaves there, in a unit that all parts share; empty
            where nothing is known.
    """

    name: str
    layer: int
    kind: PartKind
    removed: tuple[Cost, ...]
    units: tuple[int, ...] = ()
    prices: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()

    @cached_property
    def top(self) -> int:
        """Number of the last level, at which the whole part is gone."""
        return len(self.removed) - 1

    @property
    def ladder(self) -> tuple[float, ...]:
        """Prices of all levels from 1 on."""
        return self.prices or tuple((level - 0.5) / self.top for level in range(1, self.top + 1))

    def price(self, level: int) -> float:
        """Return the price of a level from 1 on; a preference above it lets the level leave."""
        return self.ladder[level - 1]


@dataclass(frozen=True)
class Pattern:
    """One level per part, in the order of the space's parts. Immutable and hashable."""

    levels: tuple[int, ...]

    def with_level(self, part: int, level: int) -> Pattern:
        """Return the same pattern with one part at another level."""
        return Pattern((*self.levels[:part], level, *self.levels[part + 1 :]))
