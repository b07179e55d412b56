"""The rows of a CSV file, every cell as it is written: ``NA``, ``007`` and ``1e5`` are text."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from calibration.errors import CalibrationError
from calibration.reading.files import MOST_OF_A_ROW, opened

OTHERS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What else may stand between cells, and what it is called."""


def csv_rows(path: Path) -> tuple[list[str], Iterator[dict[str, str]]]:
    """Open a CSV file: its columns, which the first line names, and its rows; a column without a name is left out.

    Raises:
        CalibrationError: now or while the rows are read: a column named twice, a row with more or fewer cells than the
            first line, or quotes that do not fit.
    """
    rows = _cells(path)
    _, head = next(rows, (1, []))
    twice = next((name for name, count in Counter(filter(None, head)).items() if count > 1), None)
    if twice is not None:
        raise CalibrationError(f"{path}: line 1: two columns are called {twice!r}; rename one")
    other = next((sign for sign in OTHERS if len(head) == 1 and sign in head[0]), None)
    if other is not None:
        raise CalibrationError(f"{path}: line 1: cells are parted by {OTHERS[other]}, expected commas; save it so")
    return [name for name in head if name], _named(path, head, rows)


def _named(path: Path, head: list[str], rows: Iterator[tuple[int, list[str]]]) -> Iterator[dict[str, str]]:
    for number, cells in rows:
        if len(cells) != len(head):
            raise CalibrationError(
                f"{path}: the row that ends in line {number} has {len(cells)} cells, the first line {len(head)}; put "
                f'cells that hold a comma between "'
            )
        yield {name: cell for name, cell in zip(head, cells, strict=True) if name}


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Read the cells of each row, and the number of the line that it ends in; blank lines are no rows."""
    before = csv.field_size_limit()
    try:
        with opened(path) as stream:
            rows = csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""), strict=True)
            while True:
                try:
                    csv.field_size_limit(MOST_OF_A_ROW)  # another file may have put it back meanwhile
                    cells = next(rows)
                except StopIteration:
                    return
                except csv.Error as error:
                    raise CalibrationError(
                        f"{path}: line {rows.line_num}: unreadable CSV: {error}; write a quote inside quotes twice"
                    ) from error
                if cells:
                    yield rows.line_num, cells
    finally:
        csv.field_size_limit(before)
