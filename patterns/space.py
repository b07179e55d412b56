"""The space of patterns of one model: its parts, what they cost, and which patterns are legal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from patterns.deploys import rule_of
from patterns.errors import PatternError
from patterns.legality import Legality, accepts
from patterns.part import COSTS, Cost, Part, Pattern


@dataclass(frozen=True)
class Reached:
    """The fractions of a model that a pattern removes.

    Attributes:
        block_params: removed parameters, as a fraction of those of all decoder blocks.
        params: removed parameters, as a fraction of those of the whole model.
        flops: removed floating-point operations per token, as a fraction of those of the whole model.
        kv: removed bytes of key/value cache per token, as a fraction of those of the whole model.
        latency: removed time that measured parts predict, as a fraction of the whole model's; None where no time was
            measured.
        of_blocks: cost -> how much of it is removed, as a fraction of that of all decoder blocks, as budgets count; of
            costs that the blocks have.
    """

    block_params: float
    params: float
    flops: float
    kv: float
    latency: float | None = None
    of_blocks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PatternSpace:
    """All patterns of one model at one grain, and which of them are legal.

    Attributes:
        parts: the parts, in the order in which the model runs them.
        grain: what is removed as one: ``"layer"``, ``"subblock"``, ``"head"``, ``"channel"`` or ``"mixed"``.
        deploy: the rule that patterns keep: ``"any"``, ``"balanced"`` for as many attentions gone as MLPs, or
            ``"stock"`` for patterns that are a stock architecture with fewer layers, one width and one head count.
        blocks: cost of all decoder blocks; budgets are fractions of it.
        model: cost of the whole model, embeddings and head included.
        protected: names of the parts that stay dense.
        origin: what the parts were made from (model fingerprint, cost context); goes into the fingerprint.
    """

    parts: tuple[Part, ...]
    grain: str
    blocks: Cost
    model: Cost
    deploy: str = "any"
    protected: frozenset[str] = frozenset()
    origin: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rule_of(self.deploy, self.grain)  # refuses what it knows no rule of
        unknown = sorted(self.protected - {part.name for part in self.parts})
        if unknown:
            known = f"{self.parts[0].name} … {self.parts[-1].name}"
            raise PatternError(f"cannot protect {unknown[0]!r}: the parts of this space are {known}")

    @cached_property
    def legality(self) -> Legality:
        """The rule that couples parts under this space's deploy and grain."""
        return rule_of(self.deploy, self.grain)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of parts, grain and origin: spaces of one fingerprint mean the same by a level.

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
        """Return whether a pattern has levels that its parts have, keeps protected parts dense, and keeps the rule."""
        if len(pattern.levels) != len(self.parts):
            return False
        for part, level in zip(self.parts, pattern.levels, strict=True):
            if not 0 <= level <= part.top or (level and part.name in self.protected):
                return False
        return accepts(self.legality, self.parts, pattern)

    def removals(self, pattern: Pattern) -> Iterator[Pattern]:
        """Yield every legal pattern that keeps one unit less: a level, or the smallest step where parts are coupled."""
        return self.legality.units(self.parts, self.free, pattern, +1)

    def put_backs(self, pattern: Pattern) -> Iterator[Pattern]:
        """Yield every legal pattern that keeps one unit more."""
        return self.legality.units(self.parts, self.free, pattern, -1)

    def removed(self, pattern: Pattern) -> Cost:
        """Return the cost that a pattern removes."""
        gone = Cost()
        for part, level in zip(self.parts, pattern.levels, strict=True):
            gone += part.removed[level]
        return gone

    def reached(self, pattern: Pattern) -> Reached:
        """Return the cost that a pattern removes, as fractions of the model."""
        gone = self.removed(pattern)
        return Reached(
            block_params=gone.params / self.blocks.params,
            params=gone.params / self.model.params,
            flops=gone.flops / self.model.flops,
            kv=gone.kv / self.model.kv if self.model.kv else 0.0,
            latency=gone.latency / self.model.latency if self.model.latency else None,
            of_blocks={c: getattr(gone, c) / whole for c in COSTS if (whole := getattr(self.blocks, c))},
        )

    def names(self, pattern: Pattern) -> tuple[str, ...]:
        """Return the names of the parts that are gone, in model order."""
        return tuple(p.name for p, level in zip(self.parts, pattern.levels, strict=True) if level == p.top)

    def thinned(self, pattern: Pattern) -> dict[str, int]:
        """Return, by name, how many units are gone of each part that stays with fewer of them."""
        levels = zip(self.parts, pattern.levels, strict=True)
        return {part.name: part.units[level] for part, level in levels if 0 < level < part.top}

    def pattern(self, names: Iterable[str], levels: Mapping[str, int] | None = None) -> Pattern:
        """Return the pattern in which just the named parts are gone.

        Args:
            names: names of the parts that are gone.
            levels: name of each part that stays, but not dense -> its level.

        Raises:
            PatternError: a name that no part of this space has, or a level its part has not.
        """
        tops = {part.name: part.top for part in self.parts}
        wanted = {**dict.fromkeys(names, -1), **(levels or {})}
        for name, level in wanted.items():
            if name not in tops:
                raise PatternError(
                    f"pattern names {name!r}, but this model's {self.grain} parts end at "
                    f"{self.parts[-1].name}; use the model the pattern was searched on"
                )
            if level > tops[name]:
                raise PatternError(f"pattern puts {name} at level {level}, but its last is {tops[name]}")
        return Pattern(tuple(top if wanted.get(name) == -1 else wanted.get(name, 0) for name, top in tops.items()))


def _plain(part: Part) -> dict[str, Any]:
    """Return a part as JSON holds it, without times that were not measured: they are no part of what a level means.

    Nor are bytes, which follow from the rest at any context.
    """
    content = asdict(part)
    for cost in content["removed"]:
        del cost["memory"]
        if not cost["latency"]:
            del cost["latency"]
    return content
