"""A family as data: where its layers lie and which modules make up an attention or an MLP block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evop.errors import EvopError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Sliced:
    """How one module shrinks when units of its block leave. A unit is a key/value group or a channel.

    Attributes:
        module: its dotted name inside a decoder layer.
        axis: axis of its weight along which the units lie.
        segments: what lies along that axis, one after the other; empty where it is the units and nothing else.
        bias: whether its bias, where it has one, shrinks too.
    """

    module: str
    axis: int
    segments: tuple[str, ...] = ()
    bias: bool = True


@dataclass(frozen=True)
class Block:
    """The modules of one residual block, by their names inside a decoder layer.

    Attributes:
        main: the module whose output is added to the residual stream.
        norms: modules that serve this block alone and leave with it.
        returns: how many values ``main`` returns; the first is added, the rest may be None.
        out: the projection whose input features are the units, those of a unit side by side.
        slices: the modules that shrink when units leave.
    """

    main: str
    norms: tuple[str, ...]
    returns: int = 1
    out: str = ""
    slices: tuple[Sliced, ...] = ()

    @property
    def adds(self) -> str:
        return self.main

    @property
    def modules(self) -> tuple[str, ...]:
        """All module names of the block."""
        return (self.main, *self.norms)

    @property
    def out_axis(self) -> int:
        """Axis of the weight of ``out`` along which its input features lie."""
        return next(sliced.axis for sliced in self.slices if sliced.module == self.out)


@dataclass(frozen=True)
class Family:
    """Architectures that name their parts alike.

    Attributes:
        model_types: the ``model_type`` of each architecture.
        layers: dotted path of the list of decoder layers inside the causal language model.
        attn: the attention block.
        mlp: the MLP block.
        grains: the grains this family can hold.
        per_layer: config keys that hold one value a layer and follow the layers that stay.
    """

    model_types: tuple[str, ...]
    layers: str
    attn: Block
    mlp: Block
    grains: tuple[str, ...] = ("layer", "subblock", "head", "channel", "mixed")
    per_layer: tuple[str, ...] = ("layer_types",)

    def block(self, kind: str) -> Block:
        """The block of a part's kind, ``"attn"`` or ``"mlp"``."""
        return self.attn if kind == "attn" else self.mlp

    def units(self, config: Any, kind: str) -> int:
        """How many units a block of a kind has: key/value groups, or channels."""
        if kind == "attn":
            return int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
        return int(config.intermediate_size)

    def rows(self, config: Any, kind: str, sliced: Sliced, kept: Sequence[int], length: int) -> np.ndarray:
        """What stays along the axis of a module that shrinks.

        Args:
            config: of the dense model.
            kind: of the block.
            sliced: the module.
            kept: units that stay, ascending.
            length: of the axis.

        Returns:
            int64 indices, ascending.
        """
        units = self.units(config, kind)
        heads = int(config.num_attention_heads)
        weights = [heads if segment == "query" else units for segment in sliced.segments] or [1]
        sizes = [length * weight // sum(weights) for weight in weights]
        starts = np.cumsum([0, *sizes])
        chosen = [
            start + (np.array(kept)[:, None] * (size // units) + np.arange(size // units)).ravel()
            for start, size in zip(starts, sizes, strict=False)
        ]
        return np.concatenate(chosen)

    def layer_list(self, model: nn.Module) -> nn.ModuleList:
        """The list of decoder layers of a loaded model."""
        return model.get_submodule(self.layers)  # type: ignore[return-value]

    def is_parallel(self, config: Any) -> bool:
        return False

    def prefix(self, layer: int) -> str:
        """What the tensor names of one layer begin with, the dot included."""
        return f"{self.layers}.{layer}."


def family_of(model_type: str) -> Family:
    """The family of an architecture.

    Raises:
        EvopError: an architecture no family knows; says what is supported and what adding one takes.
    """
    from evop.families import FAMILIES

    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = ", ".join(name for family in FAMILIES for name in family.model_types)
    raise EvopError(
        f"architecture {model_type!r} is not supported; supported are {known}. Adding one takes a file in "
        "evop/families that names its layers and blocks, and one line in the table there (CONTRIBUTING.md)"
    )
