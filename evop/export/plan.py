"""Which blocks of the old layers make up which layer of the new model."""

from __future__ import annotations

from dataclasses import dataclass

from evop.errors import EvopError
from patterns import Pattern, PatternSpace


@dataclass(frozen=True)
class NewLayer:
    """One layer of the pruned model, by the old layers its blocks come from; None where the block is gone."""

    attn: int | None
    mlp: int | None

    @property
    def skip(self) -> tuple[str, ...]:
        """What is gone, in the words of ``per_layer_config``."""
        return tuple(word for word, old in (("attention", self.attn), ("mlp", self.mlp)) if old is None)


@dataclass(frozen=True)
class LayerPlan:
    """The layers of the pruned model, first to last."""

    layers: tuple[NewLayer, ...]

    @classmethod
    def of(cls, space: PatternSpace, pattern: Pattern, *, parallel: bool = False) -> LayerPlan:
        """How to build a pattern: stock where the kept blocks allow it, else heterogeneous.

        Where the kept blocks read attention, MLP, attention, MLP, …, each such pair becomes one layer of a stock
        model, whichever layers the two come from and whatever the pattern was searched for. Otherwise every layer
        that keeps something stays a layer.

        Args:
            space: of the model.
            pattern: what goes.
            parallel: whether both blocks of a layer read the layer's input; then blocks of different layers cannot
                share one, since the MLP would no longer see what the attention adds.

        Raises:
            EvopError: the pattern leaves no block at all.
        """
        kept = _kept(space, pattern)
        if not kept:
            raise EvopError("the pattern removes every decoder block; nothing would be left to run, remove less")
        kinds = [kind for kind, _ in kept]
        if not parallel and kinds == ["attn", "mlp"] * (len(kept) // 2):
            pairs = zip(kept[::2], kept[1::2], strict=True)
            return cls(tuple(NewLayer(attn, mlp) for (_, attn), (_, mlp) in pairs))
        stays = dict.fromkeys(layer for _, layer in kept)
        there = set(kept)
        return cls(
            tuple(
                NewLayer(layer if ("attn", layer) in there else None, layer if ("mlp", layer) in there else None)
                for layer in stays
            )
        )

    @property
    def kind(self) -> str:
        """``"stock"``, or ``"hetero"`` where a layer lacks a block."""
        return "hetero" if any(layer.skip for layer in self.layers) else "stock"

    @property
    def places(self) -> dict[tuple[str, int], int]:
        """Kind and old layer of every kept block -> its new layer."""
        found = {}
        for new, layer in enumerate(self.layers):
            if layer.attn is not None:
                found["attn", layer.attn] = new
            if layer.mlp is not None:
                found["mlp", layer.mlp] = new
        return found


def _kept(space: PatternSpace, pattern: Pattern) -> list[tuple[str, int]]:
    """Kind and layer of the kept blocks, in the order in which the model runs them."""
    kept: list[tuple[str, int]] = []
    for part, level in zip(space.parts, pattern.levels, strict=True):
        if level == part.top:
            continue
        kinds = ("attn", "mlp") if part.kind == "layer" else (part.kind,)
        kept.extend((kind, part.layer) for kind in kinds)
    return kept
