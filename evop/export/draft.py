"""A folder that is complete or not there: written beside its place, then renamed."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from calibration.whole_folder import drafted_beside, publish
from evop.errors import EvopError

MARGIN = 16 << 20
"""Bytes kept free beside the weights: tokenizer, card, file system overhead."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a disk without room."""
FULL_WORDS = (*(f"os error {number}" for number in FULL), "requested and")
"""How the safetensors library and numpy word the same."""


class Draft:
    """A folder that is written beside its place ``out``, not there yet."""

    def __init__(self, folder: Path, out: Path) -> None:
        self.folder, self.out = folder, out

    def publish(self) -> None:
        """Give the folder its name, so that it is there."""
        publish(self.folder, self.out)

    def set_aside(self) -> Path:
        """Keep the folder for a look at what is wrong with it, but not under the name of ``out``."""
        place = self.out.with_name(f"{self.out.name}.failed")
        shutil.rmtree(place, ignore_errors=True)
        self.folder.rename(place)
        return place


@contextmanager
def drafted(out: Path, needed: int) -> Iterator[Draft]:
    """Draft the folder ``out``; whatever goes wrong inside, nothing is left behind unless it was set aside.

    Args:
        out: the folder to write; must not be there, or be empty.
        needed: bytes that the folder will take.

    Raises:
        EvopError: ``out`` holds something, or the disk is or gets too full.
    """
    refuse_out(out, needed)
    with _beside(out) as folder, _said(out, needed):
        yield Draft(folder, out)


@contextmanager
def drafted_file(out: Path, needed: int) -> Iterator[Path]:
    """Draft the file ``out``: give a path to write, which gets the name of ``out`` when the block ends well.

    Args:
        out: the file; must not be there.
        needed: bytes that it will take.

    Raises:
        EvopError: ``out`` is there, or the disk is or gets too full.
    """
    _refuse_taken(out)
    _refuse_room(out, needed)
    with _beside(out) as folder, _said(out, needed):
        yield folder / out.name
        _refuse_taken(out)  # by somebody else, meanwhile
        (folder / out.name).rename(out)


def _refuse_taken(out: Path) -> None:
    if is_there(out):
        raise EvopError(f"--out {out} is there already; choose a new name")


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """Make a hidden folder beside ``out``, and delete it in the end if it is still there."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(drafted_beside(out))
        except OSError as error:
            raise EvopError(f"--out {out}: cannot write there ({error.strerror}); choose another folder") from error
        yield folder


@contextmanager
def _said(out: Path, needed: int) -> Iterator[None]:
    """Say in one line that writing failed."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise EvopError(
                f"--out {out}: the disk filled up while writing {_gb(needed)}; make room or choose another disk "
                "(nothing was left behind)"
            ) from error
        raise EvopError(f"--out {out}: writing failed ({error}); nothing was left behind") from error


def is_full(error: Exception) -> bool:
    """Tell whether an error of writing is a disk without room."""
    return getattr(error, "errno", None) in FULL or any(words in str(error) for words in FULL_WORDS)


def is_there(out: Path, option: str = "--out") -> bool:
    """Tell whether a name is taken, by a link that leads nowhere too.

    Args:
        out: the name.
        option: where it was given.

    Raises:
        EvopError: nothing can have such a name, or nobody may look.
    """
    try:
        out.lstat()
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EvopError(f"{option} {str(out)!r}: no file can be there ({reason}); choose another name") from error


def refuse_out(out: Path, needed: int) -> None:
    """Refuse a folder that is there already or cannot fit.

    Raises:
        EvopError: ``out`` holds something, or the disk is too full.
    """
    if is_there(out) and not (out.is_dir() and not any(out.iterdir())):
        raise EvopError(f"--out {out} is there already and not an empty folder; choose a new one")
    _refuse_room(out, needed)


def _refuse_room(out: Path, needed: int) -> None:
    parent = next(place for place in (out, *out.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(parent).free
    if free < needed + MARGIN:
        raise EvopError(
            f"--out {out}: the disk has {_gb(free)} free, the checkpoint takes {_gb(needed)}; make room or choose "
            "another disk"
        )


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 10_000_000 else f"{size / 1e6:.2f} MB"
