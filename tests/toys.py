"""Toy pattern spaces, toy landscapes, and searches over them: the shapes of a search without a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from patterns import (
    Budget,
    Cost,
    Fidelity,
    Measurement,
    Part,
    PartKind,
    Pattern,
    PatternSpace,
    Request,
    Stop,
    Strategy,
    TrialLog,
    make_strategy,
    search,
)

ATTN, MLP = Cost(98_496, 2_000, 256), Cost(295_104, 6_000, 0)
"""The blocks of the reference model."""
GROUPS = tuple(f"toy/{g}" for g in range(4))


def fidelity(passages: int, tokens: int) -> Fidelity:
    """Return a fidelity whose tokens are shared out evenly among the groups."""
    return Fidelity(passages, tokens, dict.fromkeys(GROUPS, tokens // len(GROUPS)))


FIDELITIES = (fidelity(1, 24), fidelity(4, 100))
"""A quarter of a sample of 100 tokens, and the whole."""


def subblock_space(
    layers: int = 12, deploy: str = "any", protected: tuple[str, ...] = (), sizes: tuple[Cost, Cost] = (ATTN, MLP)
) -> PatternSpace:
    """Return the space of attention and MLP of every layer, each dense or gone."""
    parts = tuple(
        Part(f"layers.{i}.{kind}", i, kind, (Cost(), cost))
        for i in range(layers)
        for kind, cost in zip(("attn", "mlp"), sizes, strict=True)
    )
    return _space(parts, "subblock", deploy, protected)


def uneven_space(deploy: str, layers: int = 5) -> PatternSpace:
    """Return a space of sub-blocks in which every second layer costs twice as much."""
    space = subblock_space(layers, deploy)
    parts = tuple(
        replace(part, removed=(Cost(), part.removed[1] + part.removed[1])) if part.layer % 2 else part
        for part in space.parts
    )
    return _space(parts, "subblock", deploy, ())


def layer_space(layers: int = 12, deploy: str = "any", protected: tuple[str, ...] = ()) -> PatternSpace:
    """Return the space of whole layers, each dense or gone."""
    parts = tuple(Part(f"layers.{i}", i, "layer", (Cost(), ATTN + MLP)) for i in range(layers))
    return _space(parts, "layer", deploy, protected)


def ladder_space(
    layers: int = 4, grain: str = "mixed", deploy: str = "any", heads: int = 2, widths: int = 4, skew: float = 2.0
) -> PatternSpace:
    """Return a space of attentions with a level per head and MLPs with a level per step of channels.

    Importance grows along the ladder, the more the larger ``skew``.
    """
    parts = []
    for i in range(layers):
        if grain in ("head", "mixed"):
            parts.append(_ladder(f"layers.{i}.attn", i, "attn", ATTN, heads, skew))
        if grain in ("channel", "mixed"):
            parts.append(_ladder(f"layers.{i}.mlp", i, "mlp", MLP, widths, skew))
    blocks = Cost(*(layers * value for value in vars(ATTN + MLP).values()))
    model = blocks + Cost(786_624, 1_500, 0)
    return PatternSpace(tuple(parts), grain, blocks, model, deploy, origin={"model": "toy"})


def _ladder(name: str, layer: int, kind: PartKind, whole: Cost, levels: int, skew: float) -> Part:
    """Return a part whose last level takes its norm along: a little more than a unit's share."""
    norm = 192
    gone = [
        Cost((whole.params - norm) * n // levels, whole.flops * n // levels, whole.kv * n // levels)
        for n in range(levels)
    ]
    share = (np.arange(levels + 1) / levels) ** skew
    prices = tuple(((share[1:] + share[:-1]) / 2).tolist())
    return Part(name, layer, kind, (*gone, whole), tuple(8 * n for n in range(levels + 1)), prices)


def _space(parts: tuple[Part, ...], grain: str, deploy: str, protected: tuple[str, ...]) -> PatternSpace:
    blocks = sum((part.removed[-1] for part in parts), Cost())
    model = blocks + Cost(786_624, 1_500, 0)
    return PatternSpace(parts, grain, blocks, model, deploy, frozenset(protected), {"model": "toy"})


class Landscape:
    """A loss with pairwise interactions, several groups of it; counts how often each pattern is measured."""

    def __init__(self, space: PatternSpace, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.space, n, groups = space, len(space.parts), len(GROUPS)
        self.single = rng.gamma(1.0, 0.1, (groups, n))
        self.pairs = rng.normal(0, 0.02, (groups, n, n))
        self.asked: list[Pattern] = []

    def losses(self, pattern: Pattern) -> dict[str, float]:
        """Return the excess per group."""
        gone = np.array([level / part.top for level, part in zip(pattern.levels, self.space.parts, strict=True)]) ** 1.5
        values = self.single @ gone + np.einsum("i,gij,j->g", gone, self.pairs, gone)
        return dict(zip(GROUPS, map(float, values), strict=True))

    def value(self, pattern: Pattern) -> float:
        """Return the worst group's excess."""
        return max(self.losses(pattern).values())

    def __call__(self, request: Request) -> Iterator[Measurement]:
        """Measure, as the search loop asks for it; a lower fidelity sees a noisier value.

        Group by group, and no further where the worst so far is worse than the bound.
        """
        for pattern, bound in zip(request.patterns, request.bounds, strict=True):
            self.asked.append(pattern)
            noise = self.noise(pattern, request.fidelity)
            seen: dict[str, float] = {}
            for group, excess in self.losses(pattern).items():
                seen[group] = excess + noise
                if max(seen.values()) > bound:
                    break
            yield Measurement(max(seen.values()), seen, 0, at_least=len(seen) < len(GROUPS))

    def noise(self, pattern: Pattern, fidelity: Fidelity) -> float:
        """Return what measuring on some of the sample adds to every group."""
        return 0.0 if fidelity == FIDELITIES[-1] else 0.02 * float(np.sin(1 + hash(pattern) % 1000))


class Exact(Landscape):
    """The same value at every fidelity."""

    def noise(self, pattern: Pattern, fidelity: Fidelity) -> float:
        """Return 0."""
        return 0.0


SPACES = {
    "layer any": Budget(layer_space(10), 0.3),
    "subblock any": Budget(subblock_space(8), 0.25),
    "subblock stock": Budget(subblock_space(9, "stock", ("layers.0.attn",)), 0.25),
    "subblock balanced": Budget(subblock_space(8, "balanced"), 0.25),
    "head any": Budget(ladder_space(6, "head", heads=4), 0.1),
    "channel any": Budget(ladder_space(6, "channel", widths=16), 0.3),
    "mixed any": Budget(ladder_space(6, "mixed", heads=4, widths=8), 0.3),
    "mixed stock": Budget(ladder_space(6, "mixed", "stock", widths=3), 0.45),
}
"""A budget of every grain; large enough that a search goes on."""
TINY = {
    "one pattern of heads": Budget(ladder_space(4, "head", "stock", heads=4), 0.12),
    "one pattern of channels": Budget(ladder_space(4, "channel", "stock"), 0.3),
    "two parts": Budget(layer_space(2), 0.5),
    "one part": Budget(layer_space(3, protected=("layers.0", "layers.2")), 1 / 3),
    "one ladder": Budget(ladder_space(1, "channel"), 0.3),
    "two layers of all": Budget(ladder_space(2, "mixed"), 0.4),
}
"""Budgets with so few patterns that a search must end by itself."""


def run(
    folder: Path,
    name: str,
    budget: Budget,
    seed: int = 0,
    evaluations: int = 60,
    landscape: Landscape | None = None,
    file: str = "trials.jsonl",
    **options: int,
) -> tuple[TrialLog, Landscape, str, Strategy]:
    """Search a landscape for some evaluations; return the log, the landscape, why it ended, and the strategy."""
    log = TrialLog.create(folder / file, {"seed": seed})
    land = landscape or Landscape(budget.space)
    strategy = make_strategy(name, budget, seed, **options)
    reason = search(strategy, budget, log, land, Stop(evaluations), fidelities=FIDELITIES)
    return log, land, reason, strategy
