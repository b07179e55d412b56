"""The pruned model in the dense one's shape: zeros where something left; loads everywhere, saves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from evop.errors import EvopError
from evop.export.folder import NewTensor, write_folder
from evop.export.plan import LayerPlan
from evop.export.source import Source
from evop.model.checkpoint import Checkpoint
from evop.model.families import BLOCK_KINDS, Family
from evop.removal.cut import Place

if TYPE_CHECKING:
    import torch


def refuse_masked(dense: Checkpoint, family: Family, plan: LayerPlan, source: Source) -> None:
    """Refuse what zeros cannot say.

    Raises:
        EvopError: a bias that pruning added, where the dense model has none.
    """
    places = {new: old for old, new in _names(dense, family, plan).items()}
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
    write_folder(folder, dense.folder, dense.config, _tensors(dense, family, plan, source))


def _tensors(dense: Checkpoint, family: Family, plan: LayerPlan, source: Source) -> Iterator[NewTensor]:
    whole = Source.of_checkpoint(dense)
    names = _names(dense, family, plan)
    for old, tensor in dense.tensors.items():

        def make(old: str = old) -> torch.Tensor:
            if old in names:
                return _spread(dense, family, plan, source.tensor(names[old]), old)
            kept = whole.tensor(old)
            return kept.zero_() if _last(dense, family, old) else kept

        yield NewTensor(old, tensor.nbytes, tensor.shard, make)


def _names(dense: Checkpoint, family: Family, plan: LayerPlan) -> dict[str, str]:
    """Name each tensor that stays: its name in the dense model -> in the pruned one."""
    found, stem = {}, family.stem(dense.tensors)
    for old in dense.tensors:
        place = _place(dense, family, old)
        if place is None:
            found[old] = old
        elif place in plan.places:
            rest = old.removeprefix(stem).partition(".")[2]
            found[old] = f"{stem}{plan.places[place]}.{rest}"
    return found


def _place(dense: Checkpoint, family: Family, name: str) -> Place | None:
    """Find the block that a tensor of the dense model belongs to; None outside the layers."""
    stem = family.stem(dense.tensors)
    if not name.startswith(stem):
        return None
    number, _, rest = name.removeprefix(stem).partition(".")
    for kind in BLOCK_KINDS:
        if rest.startswith(tuple(f"{module}." for module in family.block(kind).modules)):
            return kind, int(number)
    raise EvopError(f"{dense.name}: tensor {name} belongs to neither the attention nor the MLP of a layer")


def _last(dense: Checkpoint, family: Family, name: str) -> bool:
    """Tell whether a tensor of a block is of the projection whose output is added."""
    place = _place(dense, family, name)
    return place is not None and f".{family.block(place[0]).out}." in name


def _spread(dense: Checkpoint, family: Family, plan: LayerPlan, kept: torch.Tensor, old: str) -> torch.Tensor:
    """Put what stays of a tensor back to where it was, zeros around it."""
    import torch

    place, shape = _place(dense, family, old), dense.tensors[old].shape
    if place is None or tuple(kept.shape) == shape:
        return kept
    module, _, parameter = old.removeprefix(family.stem(dense.tensors)).partition(".")[2].rpartition(".")
    sliced = next(sliced for sliced in family.block(place[0]).slices if sliced.module == module)
    axis = sliced.axis if parameter == "weight" else 0
    rows = family.rows(dense.resolved, place[0], sliced, plan.kept[place], shape[axis])
    return kept.new_zeros(shape).index_copy_(axis, torch.from_numpy(rows), kept)
