"""Text files that a person writes, such as a recipe: read whole, so none is longer than a person writes."""

from __future__ import annotations

from pathlib import Path

from evop.errors import EvopError

LONGEST = 1 << 20
"""Bytes of such a file at most."""


def person_text(path: Path) -> str:
    """Read a text file that a person wrote; a byte-order mark before it is no part of it.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read.
        EvopError: it is a folder, a pipe or a device, too long, or not UTF-8.
    """
    if path.exists() and not path.is_file():
        raise EvopError(f"{path} is a folder, a pipe or a device; expected a text file")
    with path.open("rb") as file:
        content = file.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise EvopError(f"{path} is longer than {LONGEST >> 20} MiB; expected a short text that a person writes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EvopError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
