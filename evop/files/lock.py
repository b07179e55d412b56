"""One writer to a folder: a lock that its process holds, and that the kernel frees when it ends, however it ends."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from calibration.whole_folder import take_lock
from evop.errors import EvopError
from evop.files.out_folder import refuse_inside_model, refuse_no_folder

LOCK = ".lock"
"""Name of the lock in a folder that is written in place; of one beside it, what its name ends in."""
TRIES = 100
"""How often a folder is made that others take away at the same moment; each time is one of their ends."""
T = TypeVar("T")


@dataclass(frozen=True)
class Writing:
    """What a stage is about to write, and what is left of it when it is stopped.

    Attributes:
        stage: the stage, as its command is called.
        out: the folder that it writes.
        safe: what is on the disk if it is stopped now, and how to go on.
        wait: whether to wait for another writer.
        report: is told that it waits, or that nothing can be locked.
    """

    stage: str
    out: Path
    safe: str
    wait: bool = False
    report: Callable[[str], None] = field(default=lambda line: None, repr=False)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Be the only one who writes into the folder itself, which is made if it is not there.

        Raises:
            EvopError: another process writes there, something else than a folder has the name, or it lies in a model's.
        """
        with self._locked(self.out / LOCK):
            yield

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Be the only one who makes a folder of this name; what is made of it lies beside it until it is whole.

        Raises:
            EvopError: another process makes one, something else than a folder has the name, or it has no place beside
                it, as ``.`` has none.
        """
        if self.out.name in ("", ".."):
            raise EvopError(f"--out {self.out} has no name of its own; give the name of a new folder")
        with self._locked(self.out.with_name(f".{self.out.name}{LOCK}")):
            yield

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        refuse_no_folder(self.out)
        refuse_inside_model(self.out)
        made = _made(path.parent, self.out)
        try:
            descriptor = self._taken(path)
            _HELD.append(self)
            try:
                yield
            finally:
                _HELD.remove(self)
                with suppress(OSError):
                    path.unlink()  # while it is held, so that nobody finds it, and takes it for one that counts
                os.close(descriptor)
        finally:
            for folder in made:  # the deepest first; what something was written into stays
                with suppress(OSError):
                    folder.rmdir()

    def _taken(self, path: Path) -> int:
        """Open the file and lock it; the descriptor holds the lock."""
        while True:
            descriptor = _made_sure(lambda: _opened(path), self.out)
            try:
                self._take(descriptor)
                if _is_still(descriptor, path):  # else its last owner deleted it: what is locked is no name any more
                    self._sign(descriptor)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        taken = take_lock(descriptor)
        if taken is None:
            self.report(f"{self.out}: this file system has no locks; see to it that nobody else writes there")
        elif not taken:
            who = _signed(descriptor)
            if not self.wait:
                raise EvopError(
                    f"--out {self.out}: another process writes there ({who}); let it end, give --wait to wait for it, "
                    "or choose another folder"
                )
            self.report(f"waiting for {who}, which writes to {self.out}")
            take_lock(descriptor, wait=True)

    def _sign(self, descriptor: int) -> None:
        """Write down who holds the lock, for others to read; a full disk keeps nobody from writing nothing."""
        since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        line = f"evop {self.stage}, process {os.getpid()} on {socket.gethostname()}, since {since}"
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, line.encode(), 0)


_HELD: list[Writing] = []
"""What this process writes, the outermost stage first."""


def is_writing() -> bool:
    """Tell whether this process is writing a folder."""
    return bool(_HELD)


def what_is_safe() -> str:
    """Say what is on the disk if this process is stopped now, and how to go on."""
    return _HELD[0].safe if _HELD else "nothing was being written; run the same command again"


def _signed(descriptor: int) -> str:
    """Read who holds a lock."""
    words = os.pread(descriptor, 300, 0).decode(errors="replace")
    return "".join(sign if sign.isprintable() else "?" for sign in words) or "it has just begun"


def _is_still(descriptor: int, path: Path) -> bool:
    """Tell whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _made(folder: Path, out: Path) -> list[Path]:
    """Make a folder and those above it; returns which were missing, the deepest first.

    Raises:
        EvopError: it cannot be made.
    """

    def make() -> list[Path]:
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        return missing

    return _made_sure(make, out)


def _opened(path: Path) -> int:
    """Open a lock's file; its folder may be gone, with whoever was waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _made_sure(make: Callable[[], T], out: Path) -> T:
    """Make something in a folder that another writer, when it ends, may take away between two steps.

    Raises:
        EvopError: it cannot be made, however often it is tried.
    """
    for again in reversed(range(TRIES)):
        try:
            return make()
        except (OSError, ValueError) as error:  # a ValueError of a name that no file can have
            if again and isinstance(error, FileNotFoundError | FileExistsError):
                continue
            reason = getattr(error, "strerror", None) or error
            raise EvopError(f"--out {out}: cannot write there ({reason}); choose another folder") from error
    raise AssertionError("the last try returns or raises")
