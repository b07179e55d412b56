"""The store of losses that searches share: those of a pattern on an increment of the sample, in memory and on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from calibration.whole_folder import take_lock
from evop.errors import EvopError
from patterns import Fidelity, Pattern
from patterns.checked_lines import with_checksum, without_checksum

SCHEMA = "evop.store/5"

Sums = Mapping[str, float | None]
"""Group -> summed loss, or None where it was no number; groups that were not measured are missing."""


class LossStore:
    """Keeps what was measured of one space, sample, meter and dtype; each search is charged as if it were alone.

    Args:
        folder: the folder in which searches share their measurements, or None to keep them in memory.
        identity: what two measurements must share to be the same.

    Lines that cannot be read (torn by a kill) or were changed, which their checksum tells, are passed over: a store
    saves time, and decides nothing. Searches side by side write in turns, and nothing twice.

    Raises:
        EvopError: a file lies where the folder should be, or the one in it is not such a store.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any]) -> None:
        self._sums: dict[tuple[tuple[int, ...], int], Sums] = {}
        self._file: Path | None = None
        self._head, self._end = json.dumps({"schema": SCHEMA, **identity}), 0
        if folder is not None:
            name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
            self._file = folder / f"{name}.jsonl"
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise EvopError(f"--store {folder}: a file lies there; expected a folder, or a name for one") from error
            with self._file.open("ab+") as file, _alone(file):
                self._take_in(file)

    @classmethod
    def of_search(cls, folder: str | None, identity: Mapping[str, Any], fidelities: Sequence[Fidelity]) -> LossStore:
        """Open the store of a search; searches of one space, sample, meter and dtype share it, on whatever device.

        Args:
            folder: the folder in which searches share their measurements, or None to keep them in memory.
            identity: what makes a search this search and no other.
            fidelities: the fidelities of its sample; an increment is counted from the fidelity before.
        """
        shared = {name: identity[name] for name in ("space", "halves", "search_tokens", "dtype", "loss")}
        shared["fidelities"] = [fidelity.passages for fidelity in fidelities]
        return cls(Path(folder) if folder else None, shared)

    def get(self, pattern: Pattern, increment: int) -> Sums:
        """Look up what was measured of a pattern on an increment of the sample: summed loss per group."""
        return self._sums.get((pattern.levels, increment), {})

    def put(self, pattern: Pattern, increment: int, sums: Sums) -> None:
        """Keep a measurement, unless another search has written it by now; its line is whole or not there."""
        if self._file is None:
            self._add(pattern.levels, increment, sums)
            return
        with self._file.open("ab+") as file, _alone(file):
            self._take_in(file)
            known = self._sums.get((pattern.levels, increment))
            if known is not None and sums.keys() <= known.keys():
                return
            row = json.dumps(
                {"levels": list(pattern.levels), "increment": increment, "sums": dict(sums)}, allow_nan=False
            )
            file.write(f"{with_checksum(row)}\n".encode())
            file.flush()
            self._end = file.tell()
            self._add(pattern.levels, increment, sums)

    def _take_in(self, file: BinaryIO) -> None:
        """Read what was written since; a torn last line is ended, so that the next one stands alone.

        Raises:
            EvopError: the file is another store's, or none.
        """
        file.seek(0)
        head, ours = file.readline(), f"{self._head}\n".encode()
        if head != ours and ours.startswith(head):  # new, or its first line was torn by a kill
            file.truncate(0)
            file.write(ours)
        elif head != ours:
            raise EvopError(f"--store {self._file} holds something else; delete it, it only saves time")
        file.seek(max(self._end, file.tell()))
        lines = file.read().split(b"\n")
        if lines[-1]:
            file.write(b"\n")
        for line in lines:
            self._read(line)
        file.seek(0, os.SEEK_END)
        self._end = file.tell()

    def _read(self, line: bytes) -> None:
        try:
            row = json.loads(without_checksum(line)[0])
            self._add(tuple(row["levels"]), row["increment"], row["sums"])
        except (ValueError, KeyError, TypeError, RecursionError):  # torn by a kill, or changed
            return

    def _add(self, levels: tuple[int, ...], increment: int, sums: Sums) -> None:
        self._sums[levels, increment] = {**self._sums.get((levels, increment), {}), **sums}


@contextmanager
def _alone(file: BinaryIO) -> Iterator[None]:
    """Let no other search write to a file meanwhile."""
    take_lock(file.fileno(), wait=True)
    yield
