"""Toy pattern spaces and toy landscapes: the shapes of a search without a model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from patterns import Cost, Measurement, Part, Pattern, PatternSpace

ATTN, MLP = Cost(98_496, 2_000, 256), Cost(295_104, 6_000, 0)
"""The blocks of the reference model."""


def subblock_space(
    layers: int = 12, deploy: str = "any", protected: tuple[str, ...] = (), sizes: tuple[Cost, Cost] = (ATTN, MLP)
) -> PatternSpace:
    """Attention and MLP of every layer, each dense or gone."""
    parts = tuple(
        Part(f"layers.{i}.{kind}", i, kind, (Cost(), cost))
        for i in range(layers)
        for kind, cost in zip(("attn", "mlp"), sizes, strict=True)
    )
    return _space(parts, "subblock", deploy, protected)


def layer_space(layers: int = 12, deploy: str = "any", protected: tuple[str, ...] = ()) -> PatternSpace:
    """Whole layers, each dense or gone."""
    parts = tuple(Part(f"layers.{i}", i, "layer", (Cost(), ATTN + MLP)) for i in range(layers))
    return _space(parts, "layer", deploy, protected)


def _space(parts: tuple[Part, ...], grain: str, deploy: str, protected: tuple[str, ...]) -> PatternSpace:
    blocks = sum((part.removed[-1] for part in parts), Cost())
    model = blocks + Cost(786_624, 1_500, 0)
    return PatternSpace(parts, grain, blocks, model, deploy, frozenset(protected), {"model": "toy"})


class Landscape:
    """A loss with pairwise interactions, several groups of it; counts how often each pattern is measured."""

    def __init__(self, space: PatternSpace, seed: int = 0, groups: int = 4) -> None:
        rng = np.random.default_rng(seed)
        n = len(space.parts)
        self.single = rng.gamma(1.0, 0.1, (groups, n))
        self.pairs = rng.normal(0, 0.02, (groups, n, n))
        self.asked: list[Pattern] = []

    def losses(self, pattern: Pattern) -> dict[str, float]:
        """Excess a group."""
        gone = np.array(pattern.levels, dtype=float)
        values = self.single @ gone + np.einsum("i,gij,j->g", gone, self.pairs, gone)
        return {f"toy/{g}": float(value) for g, value in enumerate(values)}

    def value(self, pattern: Pattern) -> float:
        """The worst group's excess."""
        return max(self.losses(pattern).values())

    def __call__(self, patterns: list[Pattern]) -> Iterator[Measurement]:
        """Measure, as the search loop asks for it."""
        for pattern in patterns:
            self.asked.append(pattern)
            yield Measurement(self.value(pattern), self.losses(pattern), 100)
