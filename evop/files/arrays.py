"""Arrays in one file, as evop writes them: unpacked, so that none is larger in memory than on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np


@contextmanager
def opened_arrays(path: Path) -> Iterator[Any]:
    """Open a file of arrays; each is read when it is asked for, by its name.

    Raises:
        Exception: whatever zipfile and numpy raise; or a ValueError: entries are packed, or overlap, so that a small
            file would fill the memory.
    """
    with ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != ZIP_STORED or entry.compress_size != entry.file_size for entry in entries):
        raise ValueError("its entries are packed, as evop packs none")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError("its entries are longer than the file")
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        yield file


def numbers(name: str, array: Any) -> np.ndarray:
    """Pass on an array of numbers.

    Raises:
        ValueError: it holds something else, or has no length.
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or not array.ndim:
        raise ValueError(f"{name} is no array of numbers")
    return array
