"""The error of evop.

``calibration`` and ``patterns`` know nothing of evop and have an error of their own, ``CalibrationError`` and
``PatternError``. What leaves a stage is an ``EvopError``, whatever package it began in.
"""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 300
"""Characters of another library's error that are shown."""
NOT_FINITE = (
    "use --dtype float32; where it is that, see whether transformers gives finite losses for this model and text"
)
"""What to do about numbers that are none, where it is not known in which dtype they were computed."""


class EvopError(ValueError):
    """Something a person can mend; the message is one line: what, where, found, expected, what to do."""


def refuse_unknown(option: str, name: str, known: Iterable[str]) -> None:
    """Check that a name given to an option is one it knows.

    Raises:
        EvopError: it is not; says which are.
    """
    if name not in (names := list(known)):
        raise EvopError(f"{option} {name}: unknown; choose one of {', '.join(names)}")


def first_line(error: BaseException) -> str:
    """Take of another library's error what fits into one of ours: its first line, and the next where that opens it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    said = lines[0] if not lines[0].endswith(":") else " ".join(lines[:3])
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"
