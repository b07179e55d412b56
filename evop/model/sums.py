"""``SHA256SUMS``: checksums of what a checkpoint computes with: safetensors has none, and a changed weight loads."""

from __future__ import annotations

import hashlib
from pathlib import Path

from evop.errors import EvopError

SUMS = "SHA256SUMS"
"""Name of the file, as ``sha256sum -c`` reads it."""
SUMMED = ("*.safetensors", "*.safetensors.index.json", "config.json", "*.py")
"""What it holds the checksums of: weights, config, and the code that comes with a heterogeneous checkpoint."""


def write_sums(folder: Path) -> None:
    """Write the checksums of a checkpoint, the last of its files."""
    paths = sorted({path.relative_to(folder) for pattern in SUMMED for path in folder.rglob(pattern)})
    lines = [f"{_sum_of(folder / path)}  {path.as_posix()}\n" for path in paths]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def refuse_changed(folder: Path) -> None:
    """Check that a checkpoint that evop wrote is as it was written; of others nothing is known.

    Raises:
        EvopError: a file was changed, or is gone.
    """
    try:
        text = (folder / SUMS).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        wanted, separator, name = line[:64], line[64:66], line[66:]
        if separator not in ("  ", " *") or not name:
            raise EvopError(
                f"{folder / SUMS}: line {number} is no checksum as sha256sum writes them; copy the whole checkpoint "
                f"again, or, if {SUMS} is not evop's, take it away"
            )
        path = folder / name
        if not any(path.match(pattern) for pattern in SUMMED):
            continue  # another tool's: of a file that nothing is computed with
        if not path.is_file():
            raise EvopError(f"{folder}: {name} is missing, which {SUMS} names; copy the whole checkpoint again")
        if (found := _sum_of(path)) != wanted:
            raise EvopError(
                f"{path} was changed since evop wrote it: its sha256 is {found[:12]}…, {SUMS} says {wanted[:12]}…; "
                f"copy the checkpoint again, or, if you meant it, delete {SUMS}"
            )


def _sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
