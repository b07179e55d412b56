"""The tensors of a pruned model, written shard by shard without building a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evop.errors import EvopError
from evop.export.plan import LayerPlan
from evop.export.shards import shard_name, write_index, write_shard
from evop.model.block_weights import NUMBER
from evop.model.checkpoint import Checkpoint, Tensor
from evop.model.families import BLOCK_KINDS, Family
from evop.removal.cut import Place

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Piece:
    """One tensor of the pruned model.

    Attributes:
        old: name of the tensor in the dense model; of a bias the dense model lacks, of the weight whose dtype it takes.
        shape: shape of the tensor in the pruned model.
        nbytes: bytes of the tensor in the pruned model.
        axis: the axis along which the tensor shrinks, or None.
        rows: int64 indices that stay along that axis, or None.
        bias: what is added to the tensor, float32, or None.
        weight: what the tensor is instead, or None; rows that do not stay are still in it.
        new: whether the dense model lacks the tensor, and ``bias`` is all of it.
    """

    old: str
    shape: tuple[int, ...]
    nbytes: int
    axis: int | None = None
    rows: np.ndarray | None = None
    bias: np.ndarray | None = None
    weight: torch.Tensor | None = None
    new: bool = False


@dataclass(frozen=True)
class Shard:
    """One shard of the pruned model.

    Attributes:
        source: file name of the dense model's shard that this one is made from.
        name: file name of this shard.
        pieces: name of each new tensor -> what the tensor is made of.
    """

    source: str
    name: str
    pieces: dict[str, Piece]


def plan_shards(checkpoint: Checkpoint, family: Family, plan: LayerPlan) -> tuple[Shard, ...]:
    """Plan which tensor of which shard becomes which; shards with nothing kept are left out, the rest renumbered.

    Raises:
        EvopError: a tensor inside a layer that belongs to no block the family knows.
    """
    pruned = _Tensors(checkpoint, family, plan)
    kept: dict[str, dict[str, Piece]] = {shard: {} for shard in checkpoint.shards}
    for old, tensor in checkpoint.tensors.items():
        kept[tensor.shard].update(pruned.pieces(old, tensor))
    filled = [(source, pieces) for source, pieces in kept.items() if pieces]
    return tuple(
        Shard(source, shard_name(i, len(filled)), pieces) for i, (source, pieces) in enumerate(filled, start=1)
    )


def weight_bytes(shards: tuple[Shard, ...]) -> int:
    """Count the bytes of all tensors the shards hold, file headers not counted."""
    return sum(piece.nbytes for shard in shards for piece in shard.pieces.values())


def write_weights(checkpoint: Checkpoint, shards: tuple[Shard, ...], folder: Path) -> None:
    """Write all shards, one in memory at a time, and their index where there are several.

    Raises:
        OSError: the disk is full or refuses.
    """
    for shard in shards:
        _write_shard(checkpoint.folder / shard.source, folder / shard.name, shard.pieces)
    if len(shards) > 1:
        write_index({new: shard.name for shard in shards for new in shard.pieces}, weight_bytes(shards), folder)


def _write_shard(source: Path, target: Path, pieces: dict[str, Piece]) -> None:
    from safetensors import safe_open

    with safe_open(source, framework="pt") as shard:
        write_shard({new: made(shard, piece) for new, piece in pieces.items()}, target, shard.metadata())


def made(shard: Any, piece: Piece) -> torch.Tensor:
    """Make a tensor of the pruned model from one of the dense model."""
    import torch

    tensor = shard.get_tensor(piece.old)
    if piece.weight is not None:
        tensor = piece.weight.to(tensor.dtype).contiguous()
    if piece.new:
        return torch.from_numpy(piece.bias).to(tensor.dtype)
    if piece.rows is not None:
        tensor = tensor.index_select(piece.axis, torch.from_numpy(piece.rows)).contiguous()
    if piece.bias is not None:
        tensor = (tensor.float() + torch.from_numpy(piece.bias)).to(tensor.dtype)
    return tensor


def block_of(checkpoint: Checkpoint, family: Family, stem: str, name: str) -> tuple[Place, str] | None:
    """Find the block that a tensor belongs to, and the tensor's name inside the layer; None outside the layers.

    Raises:
        EvopError: a tensor inside a layer that belongs to no block the family knows.
    """
    if not name.startswith(stem):
        return None
    number, _, rest = name.removeprefix(stem).partition(".")
    for kind in BLOCK_KINDS if re.fullmatch(NUMBER, number) else ():
        if rest.startswith(tuple(f"{module}." for module in family.block(kind).modules)):
            return (kind, int(number)), rest
    raise EvopError(
        f"{checkpoint.name}: tensor {name} belongs to neither the attention nor the MLP of a {checkpoint.model_type} "
        "layer; evop cannot tell where it goes and writes nothing"
    )


@dataclass(frozen=True)
class _InBlock:
    """A tensor of the dense model inside a decoder layer, its name taken apart.

    Attributes:
        name: full name of the tensor.
        tensor: shape and size of the tensor.
        block: the block that it belongs to.
        module: dotted name of its module inside the layer.
        parameter: ``"weight"`` or ``"bias"``.
    """

    name: str
    tensor: Tensor
    block: Place
    module: str
    parameter: str


class _Tensors:
    """Turns the tensors of the dense model into those of the pruned one."""

    def __init__(self, checkpoint: Checkpoint, family: Family, plan: LayerPlan) -> None:
        self.checkpoint, self.family, self.plan = checkpoint, family, plan
        self.stem = family.stem(checkpoint.tensors)

    def pieces(self, old: str, tensor: Tensor) -> Iterator[tuple[str, Piece]]:
        """Yield what becomes of a tensor: nothing where it leaves with its block, else new names and pieces."""
        found = block_of(self.checkpoint, self.family, self.stem, old)
        if found is None:
            yield old, Piece(old, tensor.shape, tensor.nbytes)
            return
        block, rest = found
        new_layer = self.plan.places.get(block)
        if new_layer is None:
            return
        module, _, parameter = rest.rpartition(".")
        one = _InBlock(old, tensor, block, module, parameter)
        yield f"{self.stem}{new_layer}.{rest}", self._piece(one)
        added = self._added_bias(one)
        if added is not None:
            yield f"{self.stem}{new_layer}.{module}.bias", added

    def _piece(self, one: _InBlock) -> Piece:
        """Plan a tensor of a block that stays: as it is, or what is left of it."""
        kind, tensor = one.block[0], one.tensor
        weight = self._weight(one)
        if weight is not None:
            return Piece(one.name, tuple(weight.shape), tensor.nbytes * weight.numel() // tensor.numel, weight=weight)
        read = self._read(one)
        kept = self.plan.kept.get(one.block)
        sliced = next((sliced for sliced in self.family.block(kind).slices if sliced.module == one.module), None)
        bias = self._bias(one) if one.parameter == "bias" else None
        if kept is None or sliced is None or (one.parameter == "bias" and not sliced.bias):
            return Piece(one.name, tensor.shape, tensor.nbytes, bias=bias, weight=read)
        axis = sliced.axis if one.parameter == "weight" else 0
        rows = self.family.rows(self.checkpoint.resolved, kind, sliced, kept, tensor.shape[axis])
        shape = (*tensor.shape[:axis], len(rows), *tensor.shape[axis + 1 :])
        return Piece(one.name, shape, tensor.nbytes * len(rows) // tensor.shape[axis], axis, rows, bias, read)

    def _added_bias(self, one: _InBlock) -> Piece | None:
        """Plan the bias of a last projection that had none, beside its weight; None where there is nothing to add."""
        bias = self._bias(one)
        if one.parameter != "weight" or bias is None or self.family.own_bias(self.checkpoint.tensors, *one.block):
            return None
        size = len(bias) * one.tensor.nbytes // max(1, one.tensor.numel)
        return Piece(one.name, bias.shape, size, bias=bias, new=True)

    def _bias(self, one: _InBlock) -> np.ndarray | None:
        """Find what is added to the output of a tensor's module, if it is the last projection of its block."""
        return self.plan.bias.get(one.block) if one.module == self.family.block(one.block[0]).out else None

    def _read(self, one: _InBlock) -> torch.Tensor | None:
        """Find what a weight that a block reads with is instead, whole; None where it stays."""
        weight = self.plan.weights.get(one.block) if one.parameter == "weight" else None
        found = weight.reads.get(one.module) if weight else None
        return found.values if found else None

    def _weight(self, one: _InBlock) -> torch.Tensor | None:
        """Find what a last projection's weight, or one with zeros, is instead, as it is stored; None where it stays."""
        if one.parameter == "weight" and (matrix := self.plan.matrices.get(one.block, {}).get(one.module)) is not None:
            return matrix.values
        block = self.family.block(one.block[0])
        if one.parameter != "weight" or one.module != block.out or one.block not in self.plan.weights:
            return None
        values = self.plan.weights[one.block].values
        return values if block.out_axis == 1 else values.T
