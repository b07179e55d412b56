"""The tensors of a pruned model, written shard by shard without building a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evop.errors import EvopError
from evop.export.plan import LayerPlan
from evop.files.json_file import write_json
from evop.model.checkpoint import Checkpoint, Tensor
from evop.model.families import Family
from evop.removal.cut import Place

if TYPE_CHECKING:
    import torch

READABLE = 0o644
"""The safetensors library writes for the owner alone."""
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Piece:
    """One tensor of the pruned model.

    Attributes:
        old: its name in the dense model; of a bias the dense model has not, the weight whose dtype it takes.
        shape: its shape in the pruned model.
        nbytes: its size there.
        axis: along which it shrinks, or None.
        rows: what stays along that axis, or None.
        bias: what is added to it, float32, or None.
        new: whether the dense model has it not, and ``bias`` is all of it.
    """

    old: str
    shape: tuple[int, ...]
    nbytes: int
    axis: int | None = None
    rows: np.ndarray | None = None
    bias: np.ndarray | None = None
    new: bool = False


@dataclass(frozen=True)
class Shard:
    """One shard of the pruned model.

    Attributes:
        source: file name of the shard it is made from.
        name: its own file name.
        pieces: new tensor name -> what it is made of.
    """

    source: str
    name: str
    pieces: dict[str, Piece]


def plan_shards(checkpoint: Checkpoint, family: Family, plan: LayerPlan) -> tuple[Shard, ...]:
    """Which tensor of which shard becomes which; shards with nothing kept are left out, the rest renumbered.

    Raises:
        EvopError: a tensor inside a layer that belongs to no block the family knows.
    """
    pruned = _Tensors(checkpoint, family, plan)
    kept: dict[str, dict[str, Piece]] = {shard: {} for shard in checkpoint.shards}
    for old, tensor in checkpoint.tensors.items():
        kept[tensor.shard].update(pruned.pieces(old, tensor))
    filled = [(source, pieces) for source, pieces in kept.items() if pieces]
    if len(filled) == 1:
        return (Shard(filled[0][0], "model.safetensors", filled[0][1]),)
    return tuple(
        Shard(source, f"model-{i:05d}-of-{len(filled):05d}.safetensors", pieces)
        for i, (source, pieces) in enumerate(filled, start=1)
    )


def weight_bytes(shards: tuple[Shard, ...]) -> int:
    """Bytes of all tensors the shards hold, file headers not counted."""
    return sum(piece.nbytes for shard in shards for piece in shard.pieces.values())


def write_weights(checkpoint: Checkpoint, shards: tuple[Shard, ...], folder: Path) -> None:
    """Write all shards, one in memory at a time, and their index where there are several.

    Raises:
        OSError: the disk is full or refuses.
    """
    for shard in shards:
        _write_shard(checkpoint.folder / shard.source, folder / shard.name, shard.pieces)
    if len(shards) > 1:
        places = {new: shard.name for shard in shards for new in shard.pieces}
        total = {"total_size": weight_bytes(shards)}
        write_json(folder / INDEX, {"metadata": total, "weight_map": dict(sorted(places.items()))})


def _write_shard(source: Path, target: Path, pieces: dict[str, Piece]) -> None:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file

    with safe_open(source, framework="pt") as shard:
        kept = {new: _made(shard, piece) for new, piece in pieces.items()}
        try:
            save_file(kept, target, metadata=shard.metadata() or {"format": "pt"})
        except SafetensorError as error:
            raise OSError(str(error)) from error
    target.chmod(READABLE)


def _made(shard: Any, piece: Piece) -> torch.Tensor:
    import torch

    tensor = shard.get_tensor(piece.old)
    if piece.new:
        return torch.from_numpy(piece.bias).to(tensor.dtype)
    if piece.rows is not None:
        tensor = tensor.index_select(piece.axis, torch.from_numpy(piece.rows)).contiguous()
    if piece.bias is not None:
        tensor = (tensor.float() + torch.from_numpy(piece.bias)).to(tensor.dtype)
    return tensor


class _Tensors:
    """From the tensors of the dense model to those of the pruned one."""

    def __init__(self, checkpoint: Checkpoint, family: Family, plan: LayerPlan) -> None:
        self.checkpoint, self.family, self.plan = checkpoint, family, plan
        self.stem = family.stem(checkpoint.tensors)

    def pieces(self, old: str, tensor: Tensor) -> Iterator[tuple[str, Piece]]:
        """What becomes of a tensor: nothing where it leaves with its block, else its new name and its piece."""
        if not old.startswith(self.stem):
            yield old, Piece(old, tensor.shape, tensor.nbytes)
            return
        number, _, rest = old.removeprefix(self.stem).partition(".")
        kind = next((kind for kind in ("attn", "mlp") if rest.startswith(self._begins(kind))), None)
        if kind is None or not number.isdecimal():
            raise EvopError(
                f"{self.checkpoint.name}: tensor {old} belongs to neither the attention nor the MLP of a "
                f"{self.checkpoint.model_type} layer; evop cannot tell where it goes and writes nothing"
            )
        block: Place = (kind, int(number))
        place = self.plan.places.get(block)
        if place is not None:
            prefix = f"{self.stem}{place}."
            module, _, what = rest.rpartition(".")
            yield f"{prefix}{rest}", self._piece(block, module, what, old, tensor)
            yield from self._added_bias(block, module, what, prefix, old, tensor)

    def _piece(self, block: Place, module: str, what: str, old: str, tensor: Tensor) -> Piece:
        """A tensor of a block that stays: as it is, or what is left of it."""
        kept = self.plan.kept.get(block)
        sliced = next((s for s in self.family.block(block[0]).slices if s.module == module), None)
        bias = self._bias(block, module) if what == "bias" else None
        if kept is None or sliced is None or (what == "bias" and not sliced.bias):
            return Piece(old, tensor.shape, tensor.nbytes, bias=bias)
        axis = sliced.axis if what == "weight" else 0
        rows = self.family.rows(self.checkpoint.resolved, block[0], sliced, kept, tensor.shape[axis])
        shape = (*tensor.shape[:axis], len(rows), *tensor.shape[axis + 1 :])
        return Piece(old, shape, tensor.nbytes * len(rows) // tensor.shape[axis], axis, rows, bias)

    def _added_bias(
        self, block: Place, module: str, what: str, prefix: str, old: str, tensor: Tensor
    ) -> Iterator[tuple[str, Piece]]:
        """The bias of a last projection that had none."""
        bias = self._bias(block, module)
        if what == "weight" and bias is not None and not self.family.own_bias(self.checkpoint.tensors, *block):
            size = len(bias) * tensor.nbytes // max(1, tensor.numel)
            yield f"{prefix}{module}.bias", Piece(old, bias.shape, size, bias=bias, new=True)

    def _bias(self, block: Place, module: str) -> np.ndarray | None:
        return self.plan.bias.get(block) if module == self.family.block(block[0]).out else None

    def _begins(self, kind: str) -> tuple[str, ...]:
        return tuple(f"{module}." for module in self.family.block(kind).modules)
