"""The pruned model in the dense one's shape: zeros where something left; loads everywhere, saves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evop.errors import EvopError
from evop.export.folder import NewTensor, write_folder
from evop.export.plan import LayerPlan
from evop.export.source import Source
from evop.export.weights import block_of
from evop.model.checkpoint import Checkpoint
from evop.model.families import Family

if TYPE_CHECKING:
    import torch


def refuse_masked(dense: Checkpoint, family: Family, plan: LayerPlan, source: Source) -> None:
    """Refuse what zeros cannot say.

    Raises:
        EvopError: a bias that pruning added, where the dense model has none.
    """
    places = set(_Zeros(dense, family, plan, source).names.values())
    added = next((name for name in source.pieces if name not in places), None)
    if added is not None:
        raise EvopError(
            f"--format masked has no place for {added}, which the dense model lacks; prune without --compensate bias, "
            "or write --format hf"
        )


def write_masked(dense: Checkpoint, family: Family, plan: LayerPlan, source: Source, folder: Path) -> None:
    """Write config, tokenizer and weights into an empty folder.

    Args:
        dense: the dense model.
        family: the dense model's family.
        plan: which old blocks make up the layers of the pruned model.
        source: the pruned model.
        folder: the empty folder.

    Raises:
        OSError: the disk is full or refuses.
    """
    write_folder(folder, dense.folder, dense.config, _Zeros(dense, family, plan, source).tensors())


class _Zeros:
    """The dense model's tensors, with zeros where something left.

    Attributes:
        names: name in the dense model of each tensor that stays -> its name in the pruned one.
    """

    def __init__(self, dense: Checkpoint, family: Family, plan: LayerPlan, source: Source) -> None:
        self.dense, self.family, self.plan, self.source = dense, family, plan, source
        stem = family.stem(dense.tensors)
        self._blocks = {name: block_of(dense, family, stem, name) for name in dense.tensors}
        self.names: dict[str, str] = {}
        for name, found in self._blocks.items():
            if found is None:
                self.names[name] = name
            elif found[0] in plan.places:
                self.names[name] = f"{stem}{plan.places[found[0]]}.{found[1]}"

    def tensors(self) -> Iterator[NewTensor]:
        """Yield every tensor of the dense model."""
        for name, tensor in self.dense.tensors.items():
            yield NewTensor(name, tensor.nbytes, tensor.shard, partial(self._made, name))

    def _made(self, name: str) -> torch.Tensor:
        if name in self.names:
            return self._spread(name, self.source.tensor(self.names[name]))
        dense = Source.of_checkpoint(self.dense).tensor(name)
        return dense.zero_() if self._is_last(name) else dense

    def _is_last(self, name: str) -> bool:
        """Tell whether a tensor of a block is of the projection whose output is added."""
        found = self._blocks[name]
        return found is not None and f".{self.family.block(found[0][0]).out}." in name

    def _spread(self, name: str, kept: torch.Tensor) -> torch.Tensor:
        """Put what stays of a tensor back to where it was, zeros around it."""
        import torch

        found, shape = self._blocks[name], self.dense.tensors[name].shape
        if found is None or tuple(kept.shape) == shape:
            return kept
        (kind, _), (module, _, parameter) = found[0], found[1].rpartition(".")
        sliced = next(sliced for sliced in self.family.block(kind).slices if sliced.module == module)
        axis = sliced.axis if parameter == "weight" else 0
        rows = self.family.rows(self.dense.resolved, kind, sliced, self.plan.kept[found[0]], shape[axis])
        return kept.new_zeros(shape).index_copy_(axis, torch.from_numpy(rows), kept)
