"""``samples-….safetensors``: text that the dense model made, kept so that it is made once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evop.errors import EvopError, first_line
from evop.files.json_file import whole
from evop.files.names import SAMPLES
from evop.model.loaded import LoadedModel
from evop.recovery.drawing import Drawn

SCHEMA = "evop.samples/1"
HEADER = "samples"
"""The entry of the file's metadata that says what it is; safetensors keeps several in no fixed order."""


def kept_or_drawn(
    folder: Path, loaded: LoadedModel, asked: Mapping[str, Any], make: Callable[[], list[Drawn]]
) -> list[Drawn]:
    """Read what was made before, or make it and keep it.

    A file is named by what was asked for: the model's fingerprint, its dtype, and ``asked``. The device is no part of
    it. A file holds ``ids`` (int32, all sequences one after the other), ``starts`` (int64 [sequences + 1]) and
    ``ended`` (uint8 [sequences]); and in its metadata that the dense model made it, which one, and what was asked for.

    Args:
        folder: where the files lie; made if it is not there.
        loaded: the dense model.
        asked: what kind of text was asked for, and all that decides it.
        make: makes the sequences; not called where they are there.

    Raises:
        EvopError: a file that is damaged, or one that cannot be written.
    """
    key = {"schema": SCHEMA, "model": loaded.checkpoint.fingerprint, "dtype": loaded.dtype, **asked}
    path = folder / SAMPLES.format(hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16])
    if path.exists():
        return read_samples(path, key)
    drawn = make()
    write_samples(path, drawn, {**key, "made_by": loaded.checkpoint.name})
    return drawn


def write_samples(path: Path, drawn: Sequence[Drawn], header: Mapping[str, Any]) -> None:
    """Write sequences under a temporary name, then rename it.

    Raises:
        EvopError: the folder cannot be written to, or the disk is full.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    tensors: dict[str, np.ndarray] = {
        "ids": np.array([token for sequence in drawn for token in sequence.ids], dtype=np.int32),
        "starts": np.cumsum([0, *(len(sequence.ids) for sequence in drawn)], dtype=np.int64),
        "ended": np.array([sequence.ended for sequence in drawn], dtype=np.uint8),
    }
    said = json.dumps({**header, "sha256": _hash_of(tensors)}, sort_keys=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as temporary:
            save_file(tensors, temporary, metadata={HEADER: said})
    except (OSError, SafetensorError) as error:
        raise EvopError(
            f"{path}: cannot be written ({first_line(error)}); make room, or choose another folder; nothing was left "
            "behind"
        ) from error


def read_samples(path: Path, key: Mapping[str, Any]) -> list[Drawn]:
    """Read the sequences that were kept for what is asked for.

    Raises:
        EvopError: no such file, damaged, or kept for something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            said = json.loads((file.metadata() or {}).get(HEADER, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        if not isinstance(said, dict) or {*tensors} != {"ids", "starts", "ended"}:
            raise ValueError("it is another file")
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise EvopError(f"{path} cannot be read ({first_line(error)}); delete it, and it is made again") from error
    if said.pop("sha256", None) != _hash_of(tensors):
        raise EvopError(f"{path} is damaged: its text is not the one that was written; delete it, and it is made again")
    if any(said.get(name) != value for name, value in key.items()):
        raise EvopError(f"{path} was made for something else than is asked for; delete it, and it is made again")
    parts = np.split(tensors["ids"], tensors["starts"][1:-1])
    return [Drawn(tuple(ids.tolist()), bool(end)) for ids, end in zip(parts, tensors["ended"], strict=True)]


def _hash_of(tensors: Mapping[str, np.ndarray]) -> str:
    """Hash names, dtypes and content of some arrays."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape} ".encode() + tensors[name].tobytes())
    return digest.hexdigest()
