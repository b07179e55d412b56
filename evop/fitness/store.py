"""The store of losses that searches share: those of a pattern on an increment of the sample, in memory and on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evop.errors import EvopError
from patterns import Fidelity, Pattern

SCHEMA = "evop.store/4"

Sums = Mapping[str, float | None]
"""Group -> summed loss, or None where it was no number; groups that were not measured are missing."""


class LossStore:
    """Keeps what was measured of one space, sample, meter and dtype; each search is charged as if it were alone.

    Args:
        folder: the folder in which searches share their measurements, or None to keep them in memory.
        identity: what two measurements must share to be the same.

    Lines that cannot be read (torn by a kill) are skipped: a store saves time, and decides nothing.

    Raises:
        EvopError: the file in the folder is not such a store.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any]) -> None:
        self._sums: dict[tuple[tuple[int, ...], int], Sums] = {}
        self._file: Path | None = None
        if folder is not None:
            name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
            self._file = folder / f"{name}.jsonl"
            self._open(identity)

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
        """Keep a measurement; its line is written in one go, so that searches side by side do not tear it."""
        self._add(pattern.levels, increment, sums)
        if self._file is not None:
            row = {"levels": list(pattern.levels), "increment": increment, "sums": dict(sums)}
            with self._file.open("a") as file:
                file.write(json.dumps(row, allow_nan=False) + "\n")

    def _open(self, identity: Mapping[str, Any]) -> None:
        """Read the file, or begin it; a torn last line is ended, so that the next one stands alone.

        Raises:
            EvopError: the file is another store's, or none.
        """
        assert self._file is not None
        self._file.parent.mkdir(parents=True, exist_ok=True)
        head = json.dumps({"schema": SCHEMA, **identity})
        with self._file.open("ab") as file:
            lines = self._file.read_bytes().split(b"\n")
            if lines == [b""]:  # new, or another search is about to begin it: a second head is passed over
                file.write(f"{head}\n".encode())
            elif lines[0] != head.encode():
                raise EvopError(f"--store {self._file} holds something else; delete it, it only saves time")
            elif lines[-1]:
                file.write(b"\n")
        for line in lines[1:]:
            self._read(line)

    def _read(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            self._add(tuple(row["levels"]), row["increment"], row["sums"])
        except (ValueError, KeyError, TypeError):  # torn by a kill
            return

    def _add(self, levels: tuple[int, ...], increment: int, sums: Sums) -> None:
        self._sums[levels, increment] = {**self._sums.get((levels, increment), {}), **sums}
