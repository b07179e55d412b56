"""Weight files as runtimes expect them: what they are called, what stands in them, and the index of several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evop.files.json_file import write_json
from evop.files.tensors import as_os_error

if TYPE_CHECKING:
    import torch

READABLE = 0o644
"""File mode of shards; the safetensors library writes for the owner alone."""
INDEX = "model.safetensors.index.json"


def shard_name(number: int, count: int) -> str:
    """Name a weight file, as transformers does: the how many-th, from 1, of how many."""
    return f"model-{number:05d}-of-{count:05d}.safetensors" if count > 1 else "model.safetensors"


def write_shard(tensors: dict[str, torch.Tensor], target: Path, metadata: dict[str, str] | None = None) -> None:
    """Write one weight file, as runtimes expect it: without the metadata ``format: pt``, some load none.

    Raises:
        OSError: the disk is full or refuses.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors, target, metadata=metadata or {"format": "pt"})
    except SafetensorError as error:
        raise as_os_error(error, target) from error
    target.chmod(READABLE)


def write_index(places: Mapping[str, str], size: int, folder: Path) -> None:
    """Write the index of several weight files.

    Args:
        places: name of each tensor -> its weight file.
        size: bytes of all tensors.
        folder: where the files lie.
    """
    write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": dict(sorted(places.items()))})
