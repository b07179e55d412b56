"""What the dense model predicts of passages, kept on the disk: of text that is read again it is not asked again."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from evop.errors import EvopError
from evop.recovery.healing.distillation import Target
from evop.tokens.passages import TokenPassages


class TargetCache:
    """A file of targets, one record per scored token, passages in their order.

    Which passages are known is kept apart from it, with the state of the healing: what was asked after the state was
    saved is asked again, in the same batch, so that a healing that goes on learns from the same numbers.

    Args:
        path: the file.
        passages: the passages.
        words: how many words a target tells apart.
        rest: whether a target has the chance of all other words too.
        limit: bytes that the file may take; later passages are asked about every time.
        room: says in one line that the disk is full, as a context.
    """

    def __init__(
        self,
        path: Path,
        passages: TokenPassages,
        words: int,
        rest: bool,
        limit: int,
        room: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.path, self.room = path, room
        self._words, self._columns = words, words + rest
        self._bytes = 4 * (words + self._columns)
        self._starts = np.concatenate([[0], np.cumsum(passages.scored)])
        self._fits = self._starts[1:] * self._bytes <= limit
        self.known = torch.zeros(len(passages.ids), dtype=torch.int64)
        """Passage -> 0 where it was not asked about yet, else one more than the checksum of what is kept of it."""

    def go_on(self, known: torch.Tensor) -> None:
        """Take up what an earlier process had asked; nothing where its file is gone."""
        if self.path.is_file():
            self.known = known

    def read(self, passages: Sequence[int]) -> Target | None:
        """Look the targets of some passages up; None where not all of them are known.

        Raises:
            EvopError: what is kept of one was changed.
        """
        if not all(self.known[i] for i in passages):
            return None
        with self.path.open("rb") as file:
            parts = [self._read(file, i) for i in passages]
        return Target(*(torch.from_numpy(np.concatenate(several)) for several in zip(*parts, strict=True)))

    def write(self, passages: Sequence[int], target: Target) -> None:
        """Keep the targets of some passages, one after the other, as far as there is room and they are new.

        Raises:
            EvopError: the disk is full.
        """
        words = target.words.cpu().numpy().astype(np.int32)
        chances = target.chances.cpu().numpy().astype(np.float32)
        at = 0
        with self.room():
            self.path.touch()
            with self.path.open("r+b") as file:
                for i in passages:
                    size = int(self._starts[i + 1] - self._starts[i])
                    rows, at = slice(at, at + size), at + size
                    if self._fits[i] and not self.known[i]:
                        file.seek(int(self._starts[i]) * self._bytes)
                        content = words[rows].tobytes() + chances[rows].tobytes()
                        file.write(content)
                        self.known[i] = 1 + zlib.crc32(content)

    def _read(self, file: BinaryIO, i: int) -> tuple[np.ndarray, np.ndarray]:
        size = int(self._starts[i + 1] - self._starts[i])
        file.seek(int(self._starts[i]) * self._bytes)
        content = file.read(size * self._bytes)
        if 1 + zlib.crc32(content) != int(self.known[i]):
            raise EvopError(
                f"{self.path} is damaged: what is kept of passage {i} is not what the dense model said; delete that "
                "file, and it is asked again"
            )
        words = np.frombuffer(content, np.int32, size * self._words).reshape(size, self._words)
        chances = np.frombuffer(content, np.float32, offset=4 * words.size).reshape(size, self._columns)
        return words.astype(np.int64), chances
