"""The weights of a checkpoint block by block and unit by unit, read from the disk one block at a time."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.model.families import BlockKind, Family

if TYPE_CHECKING:
    import torch

DIGEST = 16
"""Bytes of a unit's hash."""
NUMBER = "[0-9]{1,6}"
"""The number of a layer in the name of a tensor, which may hold anything."""


@dataclass(frozen=True)
class BlockWeights:
    """The weights of a checkpoint whose tensors are called as its family calls them, whatever their sizes.

    Attributes:
        checkpoint: the checkpoint.
        family: its family.
        dense: the checkpoint that it was pruned from; its config says how heads lie in a weight.
    """

    checkpoint: Checkpoint
    family: Family
    dense: Checkpoint

    @cached_property
    def stem(self) -> str:
        """What the names of all tensors in layers begin with."""
        return self.family.stem(self.checkpoint.tensors)

    @cached_property
    def layers(self) -> list[int]:
        """The numbers of the layers, ascending."""
        inside = [name.removeprefix(self.stem) for name in self.checkpoint.tensors if name.startswith(self.stem)]
        numbers = {name.partition(".")[0] for name in inside}
        return sorted(int(number) for number in numbers if re.fullmatch(NUMBER, number))

    def units(self, kind: BlockKind) -> int:
        """Count the units of a dense block: one where the family lets no unit leave."""
        return self.family.units(self.dense.resolved, kind) if self.family.block(kind).slices else 1

    def hashed(self, kind: BlockKind, layer: int, like: BlockWeights) -> list[bytes | None]:
        """Hash what each unit of a block reads with, in the dtype that another checkpoint stores it in.

        Args:
            kind: the kind of the block.
            layer: its layer.
            like: the checkpoint whose dtypes are taken.

        Returns:
            One hash a unit, None where the last projection is zero for it; nothing where the block is gone.

        Raises:
            EvopError: widths that no number of units has.
        """
        import torch

        rows = []
        for module in self._inner(kind, layer):
            weight = self._read(layer, module).to(like._dtype)
            rows.append(self._by_unit(weight, kind, layer, module))
        if not rows:
            return []
        last = self.family.block(kind).out
        out = self._by_unit(self._read(layer, last), kind, layer, last)
        if len({len(each) for each in (*rows, out)}) > 1:
            raise EvopError(f"the weights of layers.{layer}.{kind} lack different units of {self.dense.name}'s")
        counts = (out != 0).any(1).tolist()
        read = torch.cat(rows, 1).contiguous().view(torch.uint8).numpy()
        hashes = [hashlib.blake2b(row, digest_size=DIGEST).digest() for row in read]
        return [unit if there else None for unit, there in zip(hashes, counts, strict=True)]

    @cached_property
    def _dtype(self) -> torch.dtype:
        """The dtype that weights of layers are stored in."""
        kind: BlockKind = "attn" if self._inner("attn", self.layers[0]) else "mlp"
        return self._read(self.layers[0], self._inner(kind, self.layers[0])[0]).dtype

    def _inner(self, kind: BlockKind, layer: int) -> list[str]:
        """Name the modules with which a block reads; none where it is gone."""
        block, stem = self.family.block(kind), f"{self.stem}{layer}."
        names = [name.removeprefix(stem).rpartition(".") for name in self.checkpoint.tensors if name.startswith(stem)]
        sliced = {each.module for each in block.slices}
        found = {module for module, _, what in names if what == "weight" and module.startswith(block.modules)}
        matrices = {module for module in found if len(self.checkpoint.tensors[f"{stem}{module}.weight"].shape) == 2}
        return sorted(matrices & sliced - {block.out} if sliced else matrices - {block.out})

    def _read(self, layer: int, module: str) -> torch.Tensor:
        """Read a weight.

        Raises:
            EvopError: there is none.
        """
        from safetensors import safe_open

        name = f"{self.stem}{layer}.{module}.weight"
        if name not in self.checkpoint.tensors:
            raise EvopError(f"it has no {name}")
        with safe_open(self.checkpoint.folder / self.checkpoint.tensors[name].shard, framework="pt") as shard:
            tensor: torch.Tensor = shard.get_tensor(name)
        return tensor

    def _by_unit(self, weight: torch.Tensor, kind: BlockKind, layer: int, module: str) -> torch.Tensor:
        """Lay a weight out with one row a unit, [units, numbers].

        Raises:
            EvopError: its width is none that a number of units has.
        """
        import torch

        block = self.family.block(kind)
        sliced = next((each for each in block.slices if each.module == module), None)
        if sliced is None:
            return weight.reshape(1, -1)
        # Layers of the dense model are alike in this.
        whole = self.dense.tensors[f"{self.family.stem(self.dense.tensors)}0.{module}.weight"].shape[sliced.axis]
        length, units, heads = weight.shape[sliced.axis], self.units(kind), int(self.dense.resolved.num_attention_heads)
        count, rest = divmod(length * units, whole)
        if rest or not count:
            raise EvopError(f"{module} of layer {layer} has {length} features, which no number of {units} units gives")
        shares = [heads if segment == "query" else units for segment in sliced.segments] or [1]
        pieces = weight.movedim(sliced.axis, 0).split([length * share // sum(shares) for share in shares])
        return torch.cat([piece.reshape(count, -1) for piece in pieces], 1)
