"""The matrices of a decoder's blocks, whose weights can leave one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from evop.model.families import BLOCK_KINDS
from evop.model.loaded import LoadedModel
from evop.removal.cut import Cut, Place, Weight, part_name

Masks = Mapping[Place, Mapping[str, torch.Tensor]]
"""Block -> name of each of its matrices -> which weights stay, bool [out, in] on the CPU."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """A matrix of a block.

    Attributes:
        place: the block.
        name: dotted name of the module inside the decoder layer.
        module: the module: ``nn.Linear`` (weight [out, in]) or transformers' ``Conv1D`` (weight [in, out]).
        stored: name of the weight in the checkpoint.
    """

    place: Place
    name: str
    module: nn.Module
    stored: str

    @property
    def key(self) -> str:
        """What it is called among all matrices of a model, such as ``layers.3.mlp/mlp.up_proj``."""
        return f"{part_name(*self.place)}/{self.name}"

    def turned(self, values: torch.Tensor) -> torch.Tensor:
        """Turn [out, in] the way round that the module keeps its weight, or that back."""
        return values if isinstance(self.module, nn.Linear) else values.T

    @property
    def weight(self) -> torch.Tensor:
        """The weight in memory, [out, in]; no gradient."""
        return self.turned(self.module.get_parameter("weight").detach())


def matrices_of(loaded: LoadedModel) -> list[Matrix]:
    """List the matrices of all blocks of a decoder, in the order of its layers."""
    family, stem = loaded.family, loaded.family.stem(loaded.checkpoint.tensors)
    found = []
    for number, layer in enumerate(family.layer_list(loaded.model)):
        for name, module in layer.named_modules():
            weight = module._parameters.get("weight")
            if weight is None or weight.dim() != 2:
                continue
            kinds = (kind for kind in BLOCK_KINDS if f"{name}.".startswith(_begins(family.block(kind).modules)))
            found.append(Matrix((next(kinds), number), name, module, f"{stem}{number}.{name}.weight"))
    return found


def stored_weights(loaded: LoadedModel, matrices: Sequence[Matrix]) -> Iterator[tuple[Matrix, torch.Tensor]]:
    """Read weights from the disk, as they are stored, shard by shard: [out, in] each."""
    from safetensors import safe_open

    checkpoint = loaded.checkpoint
    for shard in checkpoint.shards:
        there = [matrix for matrix in matrices if checkpoint.tensors[matrix.stored].shard == shard]
        if there:
            with safe_open(checkpoint.folder / shard, framework="pt") as file:
                for matrix in there:
                    yield matrix, matrix.turned(file.get_tensor(matrix.stored))


def zeroed(loaded: LoadedModel, matrices: Sequence[Matrix], masks: Masks) -> Cut:
    """Set the weights that leave to zero; the others stay as they are stored, to the bit."""
    found: dict[Place, dict[str, Weight]] = {}
    for matrix, weight in stored_weights(loaded, matrices):
        stays = masks[matrix.place][matrix.name]
        values = matrix.turned(weight.masked_fill(~stays, 0)).contiguous()
        found.setdefault(matrix.place, {})[matrix.name] = Weight(values)
    return Cut(matrices=found)


def _begins(modules: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{module}." for module in modules)
