"""Which blocks of the old layers, and how many of their units, make up which layer of the new model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.model.families import BLOCK_KINDS, BlockKind, Family
from evop.removal.cut import Cut, Place, Weight
from evop.removal.ladder import stock_head_count
from evop.removal.space import layer_count

Format = Literal["stock", "hetero"]
"""What a pruned checkpoint is: of a stock architecture, or of one whose layers differ."""


@dataclass(frozen=True)
class NewLayer:
    """One layer of the pruned model, by the old layers its blocks come from; None where the block is gone."""

    attn: int | None
    mlp: int | None

    @property
    def skip(self) -> tuple[str, ...]:
        """Kinds of block that are gone, in the words of ``per_layer_config``."""
        return tuple(word for word, old in (("attention", self.attn), ("mlp", self.mlp)) if old is None)

    def old(self, kind: BlockKind) -> Place | None:
        """Find the block of the dense model that a kind of block comes from."""
        layer = self.attn if kind == "attn" else self.mlp
        return None if layer is None else (kind, layer)


@dataclass(frozen=True)
class LayerPlan:
    """The layers of the pruned model, first to last.

    Attributes:
        layers: the new layers, each by the old layers its blocks come from.
        kept: thinned blocks of the dense model -> the units that stay.
        bias: thinned blocks of the dense model -> the bias their last projection gets, float32 [hidden].
        weights: kept blocks of the dense model -> the new weight of their last projection; the others keep theirs.
        matrices: whole blocks of the dense model -> name of a matrix inside the layer -> its new weight, with zeros.
        format: ``"stock"``, or ``"hetero"`` where a layer lacks a block or differs from others in its counts.
    """

    layers: tuple[NewLayer, ...]
    kept: Mapping[Place, tuple[int, ...]]
    bias: Mapping[Place, np.ndarray]
    weights: Mapping[Place, Weight]
    matrices: Mapping[Place, Mapping[str, Weight]]
    format: Format

    @classmethod
    def of(
        cls,
        cut: Cut,
        layers: int,
        *,
        stock_count: Callable[[BlockKind, int], bool],
        stock_bias: bool = True,
        parallel: bool = False,
    ) -> LayerPlan:
        """Plan how to build a cut: stock where what is kept allows it, else heterogeneous.

        Where the kept blocks read attention, MLP, attention, MLP, …, each such pair becomes one layer of a stock
        model, whichever layers the two come from and whatever the pattern was searched for. Otherwise every layer
        that keeps something stays a layer.

        Args:
            cut: what leaves.
            layers: number of decoder layers of the dense model.
            stock_count: kind of block and units -> whether a stock config can say that all of a kind have so many.
            stock_bias: whether the last projections of the blocks that get a bias have one of their own.
            parallel: whether both blocks of a layer read the layer's input; then blocks of different layers cannot
                share one, since the MLP would no longer see what the attention adds.

        Raises:
            EvopError: no block at all would be left.
        """
        kept: list[Place] = [(kind, i) for i in range(layers) for kind in BLOCK_KINDS if (kind, i) not in cut.gone]
        if not kept:
            raise EvopError("the pattern removes every decoder block; nothing would be left to run, remove less")
        alike = (stock_bias or not cut.bias) and all(_alike(cut, kept, kind, stock_count) for kind in BLOCK_KINDS)
        if [kind for kind, _ in kept] == [*BLOCK_KINDS] * (len(kept) // 2):
            pairs = zip(kept[::2], kept[1::2], strict=True)
            new = tuple(NewLayer(attn, mlp) for (_, attn), (_, mlp) in pairs)
            if not parallel or all(layer.attn == layer.mlp for layer in new):
                return cls(new, cut.kept, cut.bias, cut.weights, cut.matrices, "stock" if alike else "hetero")
        stays, there = dict.fromkeys(layer for _, layer in kept), set(kept)
        new = tuple(
            NewLayer(layer if ("attn", layer) in there else None, layer if ("mlp", layer) in there else None)
            for layer in stays
        )
        return cls(new, cut.kept, cut.bias, cut.weights, cut.matrices, "hetero")

    @cached_property
    def places(self) -> dict[Place, int]:
        """Every kept block of the dense model -> its new layer."""
        olds = [(layer.old(kind), new) for new, layer in enumerate(self.layers) for kind in BLOCK_KINDS]
        return {old: new for old, new in olds if old is not None}

    def units(self, kind: BlockKind, new: int) -> int | None:
        """Count the units that a block of a new layer has left, or None where it has all or is gone."""
        old = self.layers[new].old(kind)
        return len(self.kept[old]) if old is not None and old in self.kept else None


def planned(checkpoint: Checkpoint, family: Family, cut: Cut) -> LayerPlan:
    """Plan how to build a cut of a checkpoint."""

    def stock_count(kind: BlockKind, units: int) -> bool:
        return kind == "mlp" or stock_head_count(checkpoint.resolved, units, family.units(checkpoint.resolved, "attn"))

    return LayerPlan.of(
        cut,
        layer_count(checkpoint),
        stock_count=stock_count,
        stock_bias=all(family.own_bias(checkpoint.tensors, *place) for place in cut.bias),
        parallel=family.is_parallel(checkpoint.resolved),
    )


def _alike(cut: Cut, kept: list[Place], kind: BlockKind, stock_count: Callable[[BlockKind, int], bool]) -> bool:
    """Tell whether the kept blocks of a kind are all whole, or thinned to one count that a stock config can hold."""
    counts = {len(cut.kept[place]) if place in cut.kept else None for place in kept if place[0] == kind}
    return counts <= {None} or (len(counts) == 1 and stock_count(kind, counts.pop() or 0))
