"""A pruned model as every other format reads it: one config, and tensors that are made one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evop.errors import EvopError, first_line
from evop.export.config import pruned_config
from evop.export.weights import Piece, made
from evop.export.write import Pruning
from evop.model.checkpoint import Checkpoint
from evop.model.families import HETERO_PREFIX, Family, family_of

if TYPE_CHECKING:
    import torch

OURS = ("per_layer_config", "evop_parts", "auto_map", "architectures", "model_type")
"""Keys of a config that only evop's own architectures have, or that name the architecture."""


@dataclass(frozen=True)
class LayerShape:
    """What one layer of a pruned model holds; 0 where the block is gone.

    Attributes:
        heads: query heads.
        groups: key/value heads.
        width: channels of the MLP.
    """

    heads: int
    groups: int
    width: int


@dataclass(frozen=True)
class Source:
    """A pruned model, not yet in any format.

    Attributes:
        checkpoint: the folder whose tokenizer, templates and licence go along.
        config: what ``config.json`` of the pruned checkpoint says.
        pieces: name of each tensor -> the weight file that it is made from, and how.
    """

    checkpoint: Checkpoint
    config: Mapping[str, Any]
    pieces: Mapping[str, tuple[Path, Piece]]

    @classmethod
    def of_pruning(cls, pruning: Pruning) -> Source:
        """Take a model and a pattern; the pruned checkpoint itself is not written."""
        dense = pruning.checkpoint
        pieces = {
            name: (dense.folder / shard.source, piece)
            for shard in pruning.shards
            for name, piece in shard.pieces.items()
        }
        return cls(dense, pruned_config(dense, pruning.family, pruning.plan), pieces)

    @classmethod
    def of_checkpoint(cls, checkpoint: Checkpoint) -> Source:
        """Take a checkpoint that is pruned already, or a dense one."""
        pieces = {
            name: (checkpoint.folder / tensor.shard, Piece(name, tensor.shape, tensor.nbytes))
            for name, tensor in checkpoint.tensors.items()
        }
        return cls(checkpoint, checkpoint.config, pieces)

    @property
    def base_type(self) -> str:
        """The ``model_type`` of the architecture that was pruned."""
        return str(self.config.get("model_type", "?")).removeprefix(HETERO_PREFIX)

    @cached_property
    def family(self) -> Family:
        """The family of the architecture."""
        return family_of(self.base_type)

    @cached_property
    def resolved(self) -> Any:
        """The config as transformers reads that of the architecture, defaults filled in; layers still differ."""
        from transformers import AutoConfig

        given = {key: value for key, value in self.config.items() if key not in OURS}
        try:
            return AutoConfig.for_model(self.base_type, **given)
        except (ValueError, KeyError, TypeError) as error:
            raise EvopError(f"{self.checkpoint.name}: its config cannot be read ({first_line(error)})") from error

    @cached_property
    def layers(self) -> tuple[LayerShape, ...]:
        """What each layer holds, first to last."""
        whole, differs = self.resolved, {int(i): own for i, own in self.config.get("per_layer_config", {}).items()}
        return tuple(self._layer(whole, differs.get(i, {})) for i in range(int(whole.num_hidden_layers)))

    @property
    def uniform(self) -> bool:
        """Whether all layers are alike and none lacks a block."""
        return len(set(self.layers)) == 1 and all((self.layers[0].heads, self.layers[0].width))

    @property
    def stem(self) -> str:
        """What the tensor names of all layers begin with, the last dot included."""
        return self.family.stem(self.pieces)

    def called(self, name: str) -> str:
        """Say what the causal model calls a tensor; files of a base model leave out what it is called inside that."""
        missing = self.family.layers.removesuffix(self.stem.removesuffix("."))
        return name if name.startswith("lm_head") else f"{missing}{name}"

    @property
    def tied(self) -> bool:
        """Whether the output head is the table of embeddings."""
        return bool(self.resolved.tie_word_embeddings)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self.pieces[name][1].shape

    def tensor(self, name: str) -> torch.Tensor:
        """Make a tensor, in the dtype that it is stored in."""
        from safetensors import safe_open

        file, piece = self.pieces[name]
        with safe_open(file, framework="pt") as shard:
            return made(shard, piece)

    def _layer(self, whole: Any, own: Mapping[str, Any]) -> LayerShape:
        skip, names = own.get("skip", ()), whole.attribute_map
        heads = own.get(names.get("num_attention_heads", "num_attention_heads"), whole.num_attention_heads)
        groups = own.get("num_key_value_heads", getattr(whole, "num_key_value_heads", None) or heads)
        width = own.get(self.family.width, self.family.units(whole, "mlp"))
        attends = "attention" not in skip
        return LayerShape(heads * attends, groups * attends, width * ("mlp" not in skip))


def activation_of(config: Any) -> str:
    """Name what the MLPs of a gated architecture compute in the middle."""
    return str(getattr(config, "hidden_activation", None) or config.hidden_act)
