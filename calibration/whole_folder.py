"""A folder that is complete or not there: drafted beside its place, then renamed; what a kill left behind is swept."""

import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

DRAFT = ".evop-draft"
"""How the name of a draft ends; before it stand a dot, the name of its place, and eight letters of chance."""
ASIDE = ".evop-before"
"""What is added to the name of a folder that gives way, where two folders cannot change names in one step."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL)
"""Error numbers of a file system that cannot lock."""
NO_SWAP = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EXDEV, errno.EPERM)
"""Error numbers of a file system that cannot let two folders change names."""
AT_FDCWD, RENAME_EXCHANGE = -100, 2
"""What Linux calls "from the working folder" and "change names"."""


def take_lock(descriptor: int, *, wait: bool = False) -> bool | None:
    """Lock an open file or folder until it is closed, or its process ends, however it ends.

    Args:
        descriptor: the open file or folder.
        wait: whether to wait for whoever holds it.

    Returns:
        Whether it is ours now; None where nothing can be locked here.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


@contextmanager
def drafted_beside(place: Path) -> Iterator[Path]:
    """Give an empty folder, hidden beside a place; ``publish`` gives it the name, else it is deleted.

    The folder around it is locked for as long as its process lives: that is how ``sweep`` knows those nobody owns.

    Args:
        place: the name that the folder is to have in the end.

    Raises:
        OSError: it cannot be made.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    sweep(place.parent)
    outer, held = _owned_folder(place)
    try:
        fresh = outer / place.name
        fresh.mkdir()
        yield fresh
    finally:
        shutil.rmtree(outer, ignore_errors=True)
        os.close(held)


def publish(fresh: Path, place: Path, *, replace: bool = False) -> None:
    """Give a drafted folder its name, when all of it is on the disk; what is replaced goes with the draft.

    Wherever the power fails, the name leads to one of the two, whole.

    Args:
        fresh: the folder that ``drafted_beside`` gave.
        place: its name; nothing or an empty folder, or with ``replace`` any.
        replace: whether a folder that is there gives way.

    Raises:
        OSError: it cannot be renamed, or there is a folder that is not to give way.
    """
    synced(fresh)
    if not replace or not place.is_dir() or not any(place.iterdir()):
        fresh.rename(place)
    elif not _swapped(fresh, place):
        aside = place.with_name(place.name + ASIDE)
        place.rename(aside)
        try:
            fresh.rename(place)
        except OSError:
            aside.rename(place)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    sync(place.parent)


def put_back(place: Path) -> None:
    """Give a folder its name back that stepped aside for one that never came, because the process was killed."""
    aside = place.with_name(place.name + ASIDE)
    if aside.is_dir() and not place.exists():
        aside.rename(place)


def sweep(parent: Path) -> None:
    """Delete the drafts in a folder whose process is gone; where nothing can be locked, none."""
    for outer in parent.glob(f".*{DRAFT}"):
        with suppress(OSError):
            held = os.open(outer, os.O_RDONLY)
            try:
                if take_lock(held):
                    shutil.rmtree(outer, ignore_errors=True)
            finally:
                os.close(held)


def synced(folder: Path) -> None:
    """Make sure that a folder and all that is in it are on the disk, and not only on their way there."""
    for path in sorted(folder.rglob("*")):
        sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """Make sure that a file, or the names in a folder, are on the disk; a folder that cannot be asked is let be."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        if path.is_dir():  # Windows opens no folders
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EROFS, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def _owned_folder(place: Path) -> tuple[Path, int]:
    """Make a hidden folder and lock it: its path, and the descriptor that holds the lock."""
    while True:
        # With what is added, no longer than a name may be.
        short = os.fsencode(place.name)[:100].decode(errors="ignore")
        outer = Path(tempfile.mkdtemp(prefix=f".{short}.", suffix=DRAFT, dir=place.parent))
        held = os.open(outer, os.O_RDONLY)
        take_lock(held, wait=True)
        if outer.is_dir():
            return outer, held
        os.close(held)  # another process swept it before it was locked


def _swapped(one: Path, other: Path) -> bool:
    """Let two folders change names in one step; says whether that can be done here."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    if rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in NO_SWAP:
        return False
    raise OSError(number, os.strerror(number), str(other))
