"""Tensors in one file, with a checksum: written whole or not at all, a full disk said as every other file says it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration.json_text import json_value
from evop.files.json_file import whole

if TYPE_CHECKING:
    import torch

ENTRY = "evop"
"""The one entry of a file's metadata: safetensors keeps several in no fixed order."""
SUM = "sha256"
"""What the checksum is called in it."""


def write_tensors(tensors: Mapping[str, torch.Tensor], path: Path, words: Mapping[str, Any] | None = None) -> None:
    """Write a safetensors file under a temporary name, then rename it.

    Args:
        tensors: the tensors, by name.
        path: the file.
        words: what else is to be written down, as JSON has it.

    Raises:
        OSError: the disk is full or refuses.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    said = {**(words or {}), SUM: _sum(tensors, words or {})}
    with whole(path) as temporary:
        try:
            save_file(dict(tensors), temporary, metadata={ENTRY: json.dumps(said)})
        except SafetensorError as error:
            raise as_os_error(error, path) from error


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read a file that ``write_tensors`` wrote: its tensors, on the CPU, and what else was written down.

    Raises:
        OSError: it cannot be read.
        ValueError: it is torn, or was changed since it was written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            said = json_value((file.metadata() or {}).get(ENTRY, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    if not isinstance(said, dict) or said.pop(SUM, None) != _sum(tensors, said):
        raise ValueError("its checksum is not that of its content")
    return tensors, said


def as_os_error(error: Exception, path: Path) -> OSError:
    """Make an error of the operating system of what the safetensors library says of one in words."""
    number = re.search(r"os error (\d+)", str(error))
    if number is None:
        return OSError(str(error))
    return OSError(int(number[1]), os.strerror(int(number[1])), str(path))


def _sum(tensors: Mapping[str, torch.Tensor], words: Mapping[str, Any]) -> str:
    """Hash names, dtypes, shapes and content of some tensors, and the words beside them."""
    import torch

    digest = hashlib.sha256(json.dumps(json.loads(json.dumps(words)), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
