"""A family as data: where its layers lie and which modules make up an attention or an MLP block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evop.errors import EvopError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Block:
    """The modules of one residual block, by their names inside a decoder layer.

    Attributes:
        main: the module whose output is added to the residual stream.
        norms: modules that serve this block alone and leave with it.
        returns: how many values ``main`` returns; the first is added, the rest may be None.
    """

    main: str
    norms: tuple[str, ...]
    returns: int = 1

    @property
    def modules(self) -> tuple[str, ...]:
        """All module names of the block."""
        return (self.main, *self.norms)


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
    grains: tuple[str, ...] = ("layer", "subblock")
    per_layer: tuple[str, ...] = ("layer_types",)

    def block(self, kind: str) -> Block:
        """The block of a part's kind, ``"attn"`` or ``"mlp"``."""
        return self.attn if kind == "attn" else self.mlp

    def layer_list(self, model: nn.Module) -> nn.ModuleList:
        """The list of decoder layers of a loaded model."""
        return model.get_submodule(self.layers)  # type: ignore[return-value]

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
