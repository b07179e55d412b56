"""A family as data: where its layers lie and which modules make up an attention or an MLP block."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import nn

BlockKind = Literal["attn", "mlp"]
"""A kind of residual block: attention or MLP."""
BLOCK_KINDS: tuple[BlockKind, ...] = ("attn", "mlp")
"""Both kinds, in the order in which a decoder layer runs them."""


@dataclass(frozen=True)
class Sliced:
    """How one module shrinks when units of its block leave. A unit is a key/value group or a channel.

    Attributes:
        module: dotted name of the module inside a decoder layer.
        axis: axis of its weight along which the units lie (``nn.Linear``: 0 for outputs; ``Conv1D``: 1 for outputs).
        segments: names of what lies along that axis, one after the other; empty where only the units lie there.
        bias: whether the module's bias, where it has one, shrinks too: where the units are the module's outputs.
    """

    module: str
    axis: int
    segments: tuple[str, ...] = ()
    bias: bool = True


@dataclass(frozen=True)
class Block:
    """The modules of one residual block, by their names inside a decoder layer.

    Attributes:
        main: name of the module that makes up the block and leaves with it.
        norms: names of modules beside ``main`` that serve this block alone and leave with it: its norms, and in OPT,
            whose MLP is no module of its own, the first projection.
        adds: name of the module whose output is added to the residual stream: ``main``, or a norm after it.
        returns: how many values ``main`` returns; the first is its output, the rest may be None.
        out: name of the projection whose input features are the units, those of a unit side by side.
        slices: how each module shrinks that loses units; empty where no unit may leave.
        scaled: names of the integer attributes of ``main`` that shrink in proportion.
    """

    main: str
    norms: tuple[str, ...]
    adds: str
    out: str
    returns: int = 1
    slices: tuple[Sliced, ...] = ()
    scaled: tuple[str, ...] = ()

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of all modules of the block."""
        return (self.main, *self.norms)

    @property
    def out_axis(self) -> int:
        """Axis of the weight of ``out`` along which its input features lie; that of ``nn.Linear`` if none is named."""
        return next((sliced.axis for sliced in self.slices if sliced.module == self.out), 1)


HETERO_PREFIX = "evop_"
"""What the model type of a heterogeneous checkpoint begins with, which evop wrote."""
GRAINS = ("layer", "subblock", "head", "channel", "mixed")
"""Every granularity a pattern may have; a family says which of them it cannot hold, and why."""

WEIGHT = "weight"
"""The grain at which no unit leaves, but weights one by one, which become zero. No search chooses patterns of it."""


def always(config: Any) -> bool:
    """Answer yes, whatever the config says."""
    return True


@dataclass(frozen=True)
class Refusal:
    """What a family cannot hold.

    Attributes:
        reason: why it cannot, and what to do instead; ends the line of an error.
        grains: the grains that are refused.
        deploys: the values of ``--deploy`` under which they are refused.
        when: whether a model is concerned, by its config as transformers reads it.
    """

    reason: str
    grains: tuple[str, ...]
    deploys: tuple[str, ...] = ("any", "balanced", "stock")
    when: Callable[[Any], bool] = always


NO_HEAD_DIM = Refusal(
    "its config has no head_dim of its own, so fewer heads would become wider ones; use --deploy any, "
    "or --grain channel",
    grains=("head", "mixed"),
    deploys=("stock",),
    when=lambda config: getattr(config, "head_dim", None) is None,
)
THINNED_BALANCE = Refusal(
    "it counts whole attentions and MLPs, and this grain thins them; use --grain subblock, or --deploy any",
    grains=("head", "channel", "mixed"),
    deploys=("balanced",),
)
NOWHERE = (NO_HEAD_DIM, THINNED_BALANCE)
"""What no family holds."""


@dataclass(frozen=True)
class Family:
    """Architectures that name their parts alike.

    Attributes:
        model_types: the ``model_type`` of each architecture.
        layers: dotted path of the list of decoder layers inside the causal language model.
        attn: the attention block.
        mlp: the MLP block.
        width: config key of the number of channels of an MLP; where its value is None, they are four times the hidden
            size.
        per_layer: config keys that hold one value per layer and follow the layers that stay.
        parallel: config key that says whether both blocks of a layer read the layer's input, or None where the MLP
            always reads what the attention added.
        refusals: what models of the family cannot hold; everything else they hold.
    """

    model_types: tuple[str, ...]
    layers: str
    attn: Block
    mlp: Block
    width: str = "intermediate_size"
    per_layer: tuple[str, ...] = ("layer_types",)
    parallel: str | None = None
    refusals: tuple[Refusal, ...] = ()

    def block(self, kind: BlockKind) -> Block:
        """Return the block of a kind."""
        return self.attn if kind == "attn" else self.mlp

    def units(self, config: Any, kind: BlockKind) -> int:
        """Count the units of a block of a kind: key/value groups, or channels; ``config`` as transformers reads it."""
        if kind == "attn":
            return int(_declared(config, "num_key_value_heads") or config.num_attention_heads)
        return int(getattr(config, self.width) or 4 * config.hidden_size)

    def rows(self, config: Any, kind: BlockKind, sliced: Sliced, kept: Sequence[int], length: int) -> np.ndarray:
        """Find the indices that stay along the axis of a module that shrinks.

        Args:
            config: config of the dense model.
            kind: kind of the block.
            sliced: the module.
            kept: units that stay, ascending.
            length: length of the axis in the dense model.

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
        """Return the list of decoder layers of a loaded model."""
        return model.get_submodule(self.layers)  # type: ignore[return-value]

    def stem(self, tensors: Iterable[str]) -> str:
        """Return what the tensor names of all layers begin with, the last dot included.

        A checkpoint of the bare base model, such as the hub's ``gpt2``, lacks the first word of ``layers``.
        """
        full = f"{self.layers}."
        bare = full.partition(".")[2]
        return bare if any(name.startswith(bare) for name in tensors) else full

    def own_bias(self, tensors: Collection[str], kind: BlockKind, layer: int = 0) -> str | None:
        """Find the name of the bias tensor of a block's last projection, or None where it has none.

        Args:
            tensors: names of all tensors of a checkpoint.
            kind: kind of the block.
            layer: decoder layer of the block; layers are alike in this.
        """
        name = f"{self.stem(tensors)}{layer}.{self.block(kind).out}.bias"
        return name if name in tensors else None

    def refusal(self, config: Any, grain: str, deploy: str) -> str | None:
        """Say why a model cannot be pruned at a grain under a deploy, or None where it can.

        Args:
            config: the model's, as transformers reads it.
            grain: one of ``GRAINS``.
            deploy: ``"any"``, ``"balanced"`` or ``"stock"``.
        """
        for refusal in (*self.refusals, *NOWHERE):
            if grain in refusal.grains and deploy in refusal.deploys and refusal.when(config):
                return refusal.reason
        return None

    def window(self, config: Any, layer: int) -> int | None:
        """Count the positions that a layer's attention looks back, its own included; None for all of them.

        Args:
            config: the model's, as transformers reads it.
            layer: number of the decoder layer.
        """
        window, types = _declared(config, "sliding_window"), _declared(config, "layer_types")
        return window if types is None or types[layer] == "sliding_attention" else None

    def is_parallel(self, config: Any) -> bool:
        """Tell whether both blocks of a layer read the layer's input; ``config`` as transformers reads it."""
        return self.parallel is not None and bool(getattr(config, self.parallel))


def _declared(config: Any, key: str) -> Any:
    """Look up a key that the architecture's config declares; one that only stands in the file is read by nobody."""
    return getattr(config, key, None) if hasattr(type(config), key) else None
