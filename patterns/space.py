"""What can be removed: parts, their ladders of levels, and the patterns that choose one level a part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property

from patterns.errors import PatternError
from patterns.legality import DEPLOYS, Legality


@dataclass(frozen=True)
class Cost:
    """What some units of a model cost.

    Attributes:
        params: parameters.
        flops: floating-point operations a token, at the context length the space was built for.
        kv: bytes of key/value cache a token.
    """

    params: int = 0
    flops: int = 0
    kv: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.params + other.params, self.flops + other.flops, self.kv + other.kv)


COSTS = tuple(Cost.__dataclass_fields__)


@dataclass(frozen=True)
class Part:
    """One prunable place of one layer, with its ladder of levels.

    Attributes:
        name: what a person reads and a pattern file writes, such as ``layers.3.attn``.
        layer: index of the decoder layer.
        kind: ``"layer"``, ``"attn"`` or ``"mlp"``.
        removed: what is gone at each level, cumulative; level 0 is dense and removes nothing.
    """

    name: str
    layer: int
    kind: str
    removed: tuple[Cost, ...]

    @property
    def top(self) -> int:
        """The last level: the part is gone."""
        return len(self.removed) - 1


@dataclass(frozen=True)
class Pattern:
    """One level a part, in the order of the space's parts. Immutable and hashable."""

    levels: tuple[int, ...]

    def with_level(self, part: int, level: int) -> Pattern:
        """The same pattern with one part at another level."""
        return Pattern((*self.levels[:part], level, *self.levels[part + 1 :]))


@dataclass(frozen=True)
class Reached:
    """Which fraction of the model a pattern removes, each of the named total."""

    block_params: float
    params: float
    flops: float
    kv: float


@dataclass(frozen=True)
class PatternSpace:
    """All patterns of one model at one grain, and which of them are legal.

    Attributes:
        parts: in the order in which the model runs them.
        grain: ``"layer"`` or ``"subblock"``.
        deploy: ``"any"``, or ``"stock"`` for patterns that are a stock architecture with fewer layers.
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
        content = {"grain": self.grain, "origin": dict(self.origin), "parts": [asdict(p) for p in self.parts]}
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
        """Every legal pattern one unit smaller (a unit is a level, or two where legality couples parts)."""
        return self._units(pattern, +1)

    def put_backs(self, pattern: Pattern) -> Iterator[Pattern]:
        """Every legal pattern one unit larger."""
        return self._units(pattern, -1)

    def _units(self, pattern: Pattern, step: int) -> Iterator[Pattern]:
        moved = [i for i in self.free if 0 <= pattern.levels[i] + step <= self.parts[i].top]
        for i in moved:
            single = pattern.with_level(i, pattern.levels[i] + step)
            if self.legality.couples:
                yield from self._partners(pattern, single, i, step)
            else:
                yield single

    def _partners(self, pattern: Pattern, single: Pattern, i: int, step: int) -> Iterator[Pattern]:
        """Pairs that make a coupled step legal: part ``i`` has moved, a later part must move too."""
        before, rule = self._states(pattern), self.legality
        state = rule.step(before[i], self.parts[i], single.levels[i])
        for j in range(i + 1, len(self.parts)):
            if state is None:
                return
            part, level = self.parts[j], single.levels[j]
            if 0 <= level + step <= part.top and part.name not in self.protected:
                after = rule.step(state, part, level + step)
                if after is not None and after == before[j + 1]:
                    yield single.with_level(j, level + step)
            state = rule.step(state, part, level)

    def _states(self, pattern: Pattern) -> list[Hashable]:
        """The rule's state before each part and after the last; the pattern must be legal."""
        states: list[Hashable] = [self.legality.start]
        for part, level in zip(self.parts, pattern.levels, strict=True):
            states.append(self.legality.step(states[-1], part, level))
        return states

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
        )

    def names(self, pattern: Pattern) -> tuple[str, ...]:
        """Names of the parts that are gone, in model order."""
        return tuple(p.name for p, level in zip(self.parts, pattern.levels, strict=True) if level == p.top)

    def pattern(self, names: Iterable[str]) -> Pattern:
        """The pattern in which just these parts are gone.

        Raises:
            PatternError: a name that no part of this space has.
        """
        at = {part.name: i for i, part in enumerate(self.parts)}
        levels = [0] * len(self.parts)
        for name in names:
            if name not in at:
                raise PatternError(
                    f"pattern names {name!r}, but this model's {self.grain} parts end at "
                    f"{self.parts[-1].name}; use the model the pattern was searched on"
                )
            levels[at[name]] = self.parts[at[name]].top
        return Pattern(tuple(levels))
