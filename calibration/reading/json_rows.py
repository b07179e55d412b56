"""The rows of a JSON file: an object a line, or the objects of one list, read one by one as they are written."""

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from calibration.errors import CalibrationError
from calibration.json_text import TOO_DEEP, refuse_deep, refuse_many, row_value
from calibration.reading.files import MOST_OF_A_ROW, holds_a_list, opened

PEEKED = 1000
"""Rows whose keys are the columns of a file; what later rows alone have is no column."""
_BLOCK = 1 << 20  # characters
_SPACE = " \t\r\n"
_AT_THE_END = 16
"""Characters before the end of what was read in which a fault may be that a value goes on; ``-Infinity`` has nine."""


def json_rows(path: Path) -> tuple[list[str], Iterator[dict[str, Any]]]:
    """Open a JSON file: its columns, and its rows.

    Raises:
        CalibrationError: now or while the rows are read: a line that is no JSON, or no object.
    """
    rows = _list_rows(path) if holds_a_list(path) else _line_rows(path)
    first: list[dict[str, Any]] = []
    size = 0
    while len(first) < PEEKED and size < MOST_OF_A_ROW and (row := next(rows, None)) is not None:
        first.append(row)
        size += len(str(row))
    columns = list(dict.fromkeys(key for row in first for key in row))
    return columns, itertools.chain(first, rows)


def _line_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Read an object a line; blank lines are none."""
    with opened(path) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                value = row_value(line)
            except json.JSONDecodeError as error:
                raise _unreadable(
                    path, number, f"{error.msg} at column {error.colno}; mend or drop the line"
                ) from error
            except ValueError as error:
                raise _unreadable(path, number, f"{error}; mend or drop the line") from error
            yield _object(path, number, value)


def _list_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Read the objects of one list, or those that follow one another; never more of the file than one of them."""
    with opened(path) as stream:
        text = _Text(path, io.TextIOWrapper(stream, encoding="utf-8-sig"))
        listed = text.next_sign() == "["
        if listed:
            text.at += 1
        while (sign := text.next_sign()) not in ("", "]" if listed else ""):
            yield _object(path, text.line, text.value())
            sign = text.next_sign()
            if listed and sign == ",":
                text.at += 1
                if text.next_sign() == "]":
                    raise _unreadable(path, text.line, "a comma before the end of the list; take it out")
            elif listed and sign != "]":
                raise _unreadable(path, text.line, f"found {sign or 'the end of the file'!r}, expected , or ]")
        text.at += len(sign)
        if listed and (not sign or text.next_sign()):
            fault = "more after the list's end; keep one list" if sign else "the list does not end; save it again"
            raise _unreadable(path, text.line, fault)


class _Text:
    """A text of JSON values, of which as much is held as the next value takes.

    Attributes:
        at: place in what is held where the next value begins.
    """

    def __init__(self, path: Path, stream: TextIO) -> None:
        self._path, self._stream = path, stream
        self._held, self._ended, self._decoder = "", False, json.JSONDecoder()
        self._lines, self._counted = 1, 0
        self.at = 0

    @property
    def line(self) -> int:
        """Number of the line that ``at`` lies in; it only grows, so what was counted is not counted again."""
        self._lines += self._held.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._lines

    def next_sign(self) -> str:
        """Go on to the next sign that is no white space, and return it; "" at the end."""
        while True:
            while self.at < len(self._held) and self._held[self.at] in _SPACE:
                self.at += 1
            if self.at < len(self._held) or self._ended:
                return self._held[self.at : self.at + 1]
            self._read(_BLOCK)

    def value(self) -> Any:
        """Read the value that begins here.

        Raises:
            CalibrationError: there is none, it is too long, or nested too deep.
        """
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held, self.at)
                if end < len(self._held) or self._ended:
                    refuse_deep(value, self._held.count("[", self.at, end) + self._held.count("{", self.at, end))
                    self.at = end
                    return value
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self._held) - _AT_THE_END or error.msg.startswith("Unterminated string")
                if self._ended or not cut:
                    number = self.line + self._held.count("\n", self.at, error.pos)
                    raise _unreadable(self._path, number, f"{error.msg} at column {error.colno}") from error
            except (ValueError, RecursionError) as error:
                fault = TOO_DEEP if isinstance(error, RecursionError) else str(error)
                raise _unreadable(self._path, self.line, fault) from error
            if len(self._held) - self.at > MOST_OF_A_ROW:
                raise _unreadable(self._path, self.line, f"a value of more than {MOST_OF_A_ROW >> 20} MiB")
            self._read(max(_BLOCK, len(self._held) - self.at))
            self._refuse_many()

    def _refuse_many(self) -> None:
        """Check a value that goes on: half of what is held is of it, at least."""
        try:
            refuse_many(self._held, rows=2)
        except ValueError as error:
            raise _unreadable(self._path, self.line, str(error)) from error

    def _read(self, size: int) -> None:
        """Hold more of the text, and let go what was read."""
        more = self._stream.read(size)
        _ = self.line  # counts what is let go
        self._held, self.at, self._counted = self._held[self.at :] + more, 0, 0
        self._ended = not more


def _object(path: Path, number: int, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise CalibrationError(
        f'{path}: line {number}: found JSON {type(value).__name__}, expected an object such as {{"text": ...}}'
    )


def _unreadable(path: Path, number: int, fault: str) -> CalibrationError:
    return CalibrationError(f"{path}: line {number}: unreadable JSON: {fault}")
