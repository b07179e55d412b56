"""The files of a model's folder: which of them hold the weights, and what their headers say."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from calibration.json_text import json_value
from evop.errors import EvopError

LONGEST_HEADER = 100_000_000
"""Bytes of the header of a safetensors file at most, as that library has it."""
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def weight_files(folder: Path, name: str) -> tuple[str, ...]:
    """Name the files that transformers loads: ``model.safetensors`` where it is, else those that the index names.

    Raises:
        EvopError: there are none that transformers would load.
    """
    if (folder / WEIGHTS).exists():
        return (WEIGHTS,)
    if (folder / INDEX).is_file():
        return _indexed(folder / INDEX)
    if any(folder.glob("*.safetensors")):
        raise EvopError(
            f"{name} holds safetensors files, but neither {WEIGHTS} nor {INDEX}, which says what lies where; "
            "copy the missing file too"
        )
    pickled = any(folder.glob("*.bin"))
    instead = "only pickled weights (*.bin); convert them to safetensors first" if pickled else "no weights"
    raise EvopError(f"{name} holds {instead}; expected *.safetensors beside config.json")


def _indexed(path: Path) -> tuple[str, ...]:
    """Read which files an index names; all lie beside it."""
    places = json_object(path).get("weight_map")
    files = list(places.values()) if isinstance(places, dict) else []
    if not files or not all(isinstance(file, str) and file == Path(file).name for file in files):
        raise EvopError(f"{path}: no weight_map from weights to files beside it; copy the model again")
    missing = next((file for file in sorted(set(files)) if not (path.parent / file).is_file()), None)
    if missing is not None:
        raise EvopError(f"{path} names {missing}, which is not there; copy that file too")
    return tuple(sorted(set(files)))


def json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        EvopError: it is none; or begins with a byte-order mark, with which transformers does not read it.
    """
    try:
        text = path.read_bytes()
        content = json_value(text)
    except (OSError, ValueError) as error:
        raise EvopError(f"{path} is not JSON ({error}); copy the model again") from error
    if text.startswith(b"\xef\xbb\xbf"):
        raise EvopError(f"{path} begins with a byte-order mark; save it as UTF-8 without one")
    if not isinstance(content, dict):
        raise EvopError(f"{path} holds a {type(content).__name__}, expected an object; copy the model again")
    return content


def safetensors_header(path: Path) -> tuple[int, dict[str, Any]]:
    """Read where the data begin, in bytes, and the header without its metadata: name -> shape, dtype, offsets.

    Raises:
        EvopError: the file is not whole, or its header is none.
    """
    try:
        if not path.is_file():
            raise ValueError("it is a pipe, a device or not there")
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > LONGEST_HEADER:
                raise ValueError(f"its header has {length:,} bytes, expected at most {LONGEST_HEADER:,}")
            header = json_value(file.read(length).decode())
        if not isinstance(header, dict):
            raise ValueError("its header is no object")
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        ends = [_end(name, entry) for name, entry in tensors.items()]
        if 8 + length + max(ends, default=0) != size:
            raise ValueError(f"it has {size} bytes, its header says {8 + length + max(ends, default=0)}")
    except (OSError, ValueError, struct.error) as error:
        raise EvopError(f"{path} is not a whole safetensors file ({error}); copy it again") from error
    return 8 + length, header


def _end(name: str, entry: Any) -> int:
    """Check the entry of a tensor; return where its data end."""
    described: dict[str, Any] = entry if isinstance(entry, dict) else {}
    shape: Any = described.get("shape")
    offsets: Any = described.get("data_offsets")
    if not _sizes(shape) or not _sizes(offsets) or not isinstance(described.get("dtype"), str):
        raise ValueError(f"its header describes {name[:60]} as {json.dumps(entry)[:60]}")
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"its header describes {name[:60]} as {json.dumps(entry)[:60]}")
    return int(offsets[1])


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)
