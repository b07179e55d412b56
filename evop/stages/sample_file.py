"""``evop calibrate --export``: the search sample as a plain file, for quantisers and other tools that calibrate."""

from __future__ import annotations

from pathlib import Path

from calibration import CalibrationSet
from calibration.reading.sample_file import sample_lines
from evop.errors import EvopError
from evop.export.draft import drafted_file, is_there
from evop.stages.one_error import one_error


def refuse_export(path: Path) -> None:
    """Refuse a file that is there, or is no JSONL, before anything is built.

    Raises:
        EvopError: with the reason.
    """
    if path.suffix != ".jsonl":
        raise EvopError(f"--export {path}: expected the name of a .jsonl file")
    if is_there(path, "--export"):
        raise EvopError(f"--export {path} is there already; choose a new name")


@one_error
def export_sample(built: CalibrationSet, path: Path) -> int:
    """Write the search sample to a file, whole or not at all.

    Returns:
        How many passages; questions with choices are left out.

    Raises:
        EvopError: the file is there, the sample holds no text, or the disk is full.
    """
    refuse_export(path)
    lines = list(sample_lines(built.split("search")))
    if not lines:
        raise EvopError(f"--export {path}: the search sample holds questions alone, and no text")
    with drafted_file(path, sum(map(len, lines))) as draft:
        draft.write_text("".join(lines), encoding="utf-8")
    return len(lines)
