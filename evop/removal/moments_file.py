"""``moments.npz``: the second moments that the weights of levels are made of, one part in memory at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from evop.errors import EvopError, first_line
from evop.files.arrays import numbers, opened_arrays
from evop.files.json_file import whole

MARGIN = 16 << 20
"""Bytes kept free beside the moments: the log, the answer, file system overhead."""


class MomentsFile(Mapping[str, np.ndarray]):
    """The moments of a file, by the name of their part: float32 [features, features], read when they are asked for.

    Args:
        path: the file; a worker that is sent this reads it where it lies.

    Raises:
        EvopError: no such file, or one that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        with self._opened() as file:
            self._parts = tuple(file.files)

    def __getitem__(self, part: str) -> np.ndarray:
        """Read the moments of a part."""
        if part not in self._parts:
            raise KeyError(part)
        with self._opened() as file:
            moments = numbers(part, file[part])
        return moments

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the parts."""
        return iter(self._parts)

    def __len__(self) -> int:
        """Count the parts."""
        return len(self._parts)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with opened_arrays(self.path) as file:
                yield file
        except Exception as error:  # numpy raises what the file makes it raise
            raise EvopError(
                f"{self.path} holds no moments ({first_line(error)}); move the run away and search again"
            ) from error


def write_moments(path: Path, moments: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write ``moments.npz``, whole or not at all; a part is let go of before the next is made.

    Raises:
        EvopError: the disk is full, or refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as temporary, ZipFile(temporary, "w") as file:  # np.savez of numpy 1 would pickle
            for part, array in moments:
                with file.open(f"{part}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)
    except OSError as error:
        raise EvopError(f"{path}: writing failed ({error}); make room or choose another --out") from error


def refuse_short_disk(folder: Path, sizes: Sequence[int], files: int) -> None:
    """Check that there is room for moments.

    Args:
        folder: where they will lie; it need not be there yet.
        sizes: the features of every part.
        files: number of files that hold all parts.

    Raises:
        EvopError: there is not.
    """
    parent = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    free, needed = shutil.disk_usage(parent).free, files * sum(4 * size * size for size in sizes)
    if free < needed + MARGIN:
        raise EvopError(
            f"--out {folder}: the disk has {free / 1e9:.2f} GB free, what --compensate obs keeps there takes "
            f"{needed / 1e9:.2f} GB; make room, choose another disk, or use --compensate none"
        )
