"""Writing the healed checkpoint: the pruned one's files, with the weights that were trained."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evop.export.shards import write_shard
from evop.files.names import AUDIT, HEAL
from evop.model.checkpoint import Checkpoint
from evop.recovery.heal_file import HealFile

if TYPE_CHECKING:
    import torch

CARD = "README.md"


def write_healed(pruned: Checkpoint, weights: Mapping[str, torch.Tensor], file: HealFile, folder: Path) -> None:
    """Write a checkpoint that loads wherever the pruned one does, into an empty folder.

    Everything is copied byte for byte but the weights that were trained; an audit of the pruned model is left behind,
    for it is none of this one.

    Args:
        pruned: the checkpoint that was healed.
        weights: the weights that were trained, by name, in the dtype that they are stored in.
        file: the account of the healing.
        folder: the folder to fill.

    Raises:
        OSError: the disk is full or refuses.
    """
    for source in sorted(pruned.folder.rglob("*")):
        name = source.relative_to(pruned.folder)
        if source.is_file() and str(name) not in (*pruned.shards, AUDIT):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / name)
    for shard in pruned.shards:
        _write_shard(pruned.folder / shard, folder / shard, weights)
    file.write(folder / HEAL)


def _write_shard(source: Path, target: Path, weights: Mapping[str, torch.Tensor]) -> None:
    from safetensors import safe_open

    with safe_open(source, framework="pt") as shard:
        names = list(shard.keys())
        tensors = {name: weights[name].contiguous() if name in weights else shard.get_tensor(name) for name in names}
        write_shard(tensors, target, shard.metadata())
