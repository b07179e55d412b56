"""What can be removed: parts, their ladders of levels, and the patterns that choose one level a part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from patterns.errors import PatternError
from patterns.legality import DEPLOYS, Legality


@dataclass(frozen=True)
class Cost:
    """What some units of a model cost.

    Attributes:
        params: parameters.
        flops: floating-point operations a token, at the context length the space was built for.
        kv: bytes of key/value cache a token.
        latency: nanoseconds of a stated workload on a stated device; 0 where none was measured.
    """

    params: int = 0
    flops: int = 0
    kv: int = 0
    latency: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.params + other.params,
            self.flops + other.flops,
            self.kv + other.kv,
            self.latency + other.latency,
        )


COSTS = tuple(Cost.__dataclass_fields__)


@dataclass(frozen=True)
class Part:
    """One prunable place of one layer, with its ladder of levels.

    Attributes:
        name: what a person reads and a pattern file writes, such as ``layers.3.attn``.
        layer: index of the decoder layer.
        kind: ``"layer"``, ``"attn"`` or ``"mlp"``.
        removed: what is gone at each level, cumulative; level 0 is dense and removes nothing.
        units: how many units (channels, key/value groups) are gone at each level; empty where there are none to
            count, and the part is there or gone.
        prices: for each level from 1 on, the share of the part's importance that is gone half-way through it;
            ascending, in (0, 1). Empty: every level weighs the same.
        scores: for each level from 1 on, how much what leaves there matters, in a unit all parts share; empty where
            nothing is known.
    """

    name: str
    layer: int
    kind: str
    removed: tuple[Cost, ...]
    units: tuple[int, ...] = ()
    prices: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()

    @property
    def top(self) -> int:
        """The last level: the part is gone."""
        return len(self.removed) - 1

    @property
    def ladder(self) -> tuple[float, ...]:
        """The prices of all levels from 1 on."""
        return self.prices or tuple((level - 0.5) / self.top for level in range(1, self.top + 1))

    def price(self, level: int) -> float:
        """The price of a level from 1 on; a preference above it lets the level leave."""
        return self.ladder[level - 1]


@dataclass(frozen=True)
class Pattern:
    """One level a part, in the order of the space's parts. Immutable and hashable."""

    levels: tuple[int, ...]

    def with_level(self, part: int, level: int) -> Pattern:
        """The same pattern with one part at another level."""
        return Pattern((*self.levels[:part], level, *self.levels[part + 1 :]))


@dataclass(frozen=True)
class Reached:
    """Which fraction of the model a pattern removes, each of the named total.

    ``latency`` is the fraction of the time of the whole model that measured parts predict; None where no time was
    measured.
    """

    block_params: float
    params: float
    flops: float
    kv: float
    latency: float | None = None


@dataclass(frozen=True)
class PatternSpace:
    """All patterns of one model at one grain, and which of them are legal.

    Attributes:
        parts: in the order in which the model runs them.
        grain: ``"layer"``, ``"subblock"``, ``"head"``, ``"channel"`` or ``"mixed"``.
        deploy: ``"any"``, or ``"stock"`` for patterns that are a stock architecture with fewer layers, one width
            and one head count.
        blocks: cost of all decoder blocks; budgets are fractions of it.
        model: cost of the whole model, embeddings and head included.
        protected: names of parts that stay dense.
        origin: what the parts came from (model fingerprint, cost context); goes into the fingerprint.
    """

    parts: tuple[Part, ...]
    grain: str
    blocks: Cost
    model: Cost
    deploy: str = "any"
    protected: frozenset[str] = frozenset()
    origin: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.deploy not in DEPLOYS:
            raise PatternError(f"deploy {self.deploy!r} is unknown; choose one of {', '.join(DEPLOYS)}")
        unknown = sorted(self.protected - {part.name for part in self.parts})
        if unknown:
            known = f"{self.parts[0].name} … {self.parts[-1].name}"
            raise PatternError(f"cannot protect {unknown[0]!r}: the parts of this space are {known}")

    @cached_property
    def legality(self) -> Legality:
        """The rule that couples parts under this space's deploy and grain."""
        return DEPLOYS[self.deploy](self.grain)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of parts, grain and origin: two spaces with one fingerprint mean the same by a level.

        Deploy and protection decide which patterns are searched, not what a pattern is, and stay out.
        """
        content = {"grain": self.grain, "origin": dict(self.origin), "parts": [_plain(p) for p in self.parts]}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def dense(self) -> Pattern:
        """The pattern that removes nothing."""
        return Pattern((0,) * len(self.parts))

    @cached_property
    def free(self) -> tuple[int, ...]:
        """Indices of the parts that may be removed."""
        return tuple(i for i, part in enumerate(self.parts) if part.name not in self.protected)

    def legal(self, pattern: Pattern) -> bool:
        """Whether the pattern fits the space: known levels, protected parts dense, deploy's rule kept."""
        if len(pattern.levels) != len(self.parts):
            return False
        state = self.legality.start
        for part, level in zip(self.parts, pattern.levels, strict=True):
            if not 0 <= level <= part.top or (level and part.name in self.protected):
                return False
            state = self.legality.step(state, part, level)
            if state is None:
                return False
        return self.legality.final(state)

    def removals(self, pattern: Pattern) -> Iterator[Pattern]:
        """Every legal pattern one unit smaller: a level, or the smallest step where legality couples parts."""
        return self.legality.units(self, pattern, +1)

    def put_backs(self, pattern: Pattern) -> Iterator[Pattern]:
        """Every legal pattern one unit larger."""
        return self.legality.units(self, pattern, -1)

    def removed(self, pattern: Pattern) -> Cost:
        """What the pattern takes away."""
        gone = Cost()
        for part, level in zip(self.parts, pattern.levels, strict=True):
            gone += part.removed[level]
        return gone

    def reached(self, pattern: Pattern) -> Reached:
        """What the pattern takes away, as fractions of the model."""
        gone = self.removed(pattern)
        return Reached(
            block_params=gone.params / self.blocks.params,
            params=gone.params / self.model.params,
            flops=gone.flops / self.model.flops,
            kv=gone.kv / self.model.kv if self.model.kv else 0.0,
            latency=gone.latency / self.model.latency if self.model.latency else None,
        )

    def names(self, pattern: Pattern) -> tuple[str, ...]:
        """Names of the parts that are gone, in model order."""
        return tuple(p.name for p, level in zip(self.parts, pattern.levels, strict=True) if level == p.top)

    def thinned(self, pattern: Pattern) -> dict[str, int]:
        """Names of the parts that stay with fewer units -> how many units are gone."""
        levels = zip(self.parts, pattern.levels, strict=True)
        return {part.name: part.units[level] for part, level in levels if 0 < level < part.top}

    def pattern(self, names: Iterable[str], levels: Mapping[str, int] | None = None) -> Pattern:
        """The pattern in which just these parts are gone, and others are at the levels given.

        Raises:
            PatternError: a name that no part of this space has, or a level its part has not.
        """
        at = {part.name: part.top for part in self.parts}
        wanted = {**dict.fromkeys(names, -1), **(levels or {})}
        for name, level in wanted.items():
            if name not in at:
                raise PatternError(
                    f"pattern names {name!r}, but this model's {self.grain} parts end at "
                    f"{self.parts[-1].name}; use the model the pattern was searched on"
                )
            if level > at[name]:
                raise PatternError(f"pattern puts {name} at level {level}, but its last is {at[name]}")
        return Pattern(tuple(top if wanted.get(name) == -1 else wanted.get(name, 0) for name, top in at.items()))


def _plain(part: Part) -> dict[str, Any]:
    """A part as JSON has it; a time that was not measured is no part of what it is."""
    content = asdict(part)
    for cost in content["removed"]:
        if not cost["latency"]:
            del cost["latency"]
    return content
