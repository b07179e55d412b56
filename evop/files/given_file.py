"""A file that a person named: drafted beside its place, which it gets when it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from calibration.whole_folder import drafted_beside, sync
from evop.errors import EvopError


def refuse_no_file(option: str, path: Path, ending: str = "") -> None:
    """Check, before anything is computed for it, that a file can have a name, and that nothing is lost by it.

    Args:
        option: where a person named the file.
        path: the file.
        ending: how its name has to end, so that a file of another kind never gives way to it; "" for any.

    Raises:
        EvopError: a folder, a pipe or a device has the name, its folder is not there, or nothing can have it; or it
            ends otherwise.
    """
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()
        odd, there = path.exists() and not path.is_file(), path.absolute().parent.is_dir()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise EvopError(f"{option} {str(path)!r}: no file can be there ({reason}); choose another name") from error
    if odd:
        raise EvopError(f"{option} {path} is a folder, a pipe or a device; give the name of a file")
    if not there:
        raise EvopError(f"{option} {path}: there is no folder {path.parent}; make it, or choose another place")
    if ending and path.suffix.lower() != ending:
        raise EvopError(f"{option} {path}: expected a name that ends in {ending}; a file of another kind may lie there")


@contextmanager
def given_file(option: str, path: Path) -> Iterator[Path]:
    """Give a path to write; it becomes the file when the block ends well, and what lay there gives way in one step.

    Args:
        option: where a person named the file.
        path: the file.

    Raises:
        EvopError: as ``refuse_no_file``.
        OSError: it cannot be written.
    """
    refuse_no_file(option, path)
    with drafted_beside(path) as folder:
        draft = folder / path.name
        yield draft
        sync(draft)
        draft.replace(path)
        sync(path.parent)
