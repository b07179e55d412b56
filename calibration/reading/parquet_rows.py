"""The rows of a Parquet file: only the columns that are asked for, and few rows in memory at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from calibration.errors import CalibrationError, one_line
from calibration.reading.files import MOST_UNPACKED

AT_ONCE = 16
"""Rows that are unpacked together; a small file may hold one long text a million times."""
PACKED_BY = 1000
"""Times that a large column may be packed; no text is packed more tightly."""


def parquet_columns(path: Path) -> list[str]:
    """List the columns of a Parquet file.

    Raises:
        CalibrationError: it is no Parquet file.
    """
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except Exception as error:  # pyarrow raises what the file makes it raise
        raise _unreadable(path, error) from error


def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Read some columns of a Parquet file, row by row.

    Raises:
        CalibrationError: one of them cannot be read, or is there twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        schema = pq.read_schema(path)
        twice = next((name for name in columns if schema.names.count(name) > 1), None)
        if twice is not None:
            raise CalibrationError(f"{path}: two columns are called {twice!r}; rename one")
        flat = [name for name in columns if pa.types.is_string(schema.field(name).type)]
        with pq.ParquetFile(path, read_dictionary=flat) as file:
            _refuse_bomb(path, file.metadata, columns)
            for batch in file.iter_batches(AT_ONCE, columns=list(columns), use_threads=False):
                cells = {name: batch.column(batch.schema.get_field_index(name)) for name in columns}
                for at in range(batch.num_rows):
                    number += 1
                    yield {name: cell[at].as_py() for name, cell in cells.items()}
    except CalibrationError:
        raise
    except Exception as error:  # pyarrow raises what the file makes it raise
        raise _unreadable(path, error, f" after row {number}" if number else "") from error


def _refuse_bomb(path: Path, metadata: Any, columns: Sequence[str]) -> None:
    """Raise if a column that is read would unpack to gigabytes out of next to nothing."""
    for group in (metadata.row_group(at) for at in range(metadata.num_row_groups)):
        for column in (group.column(at) for at in range(group.num_columns)):
            if column.path_in_schema.split(".")[0] not in columns:
                continue
            size = column.total_uncompressed_size
            if size > max(MOST_UNPACKED, PACKED_BY * path.stat().st_size):
                raise CalibrationError(
                    f"{path}: column {column.path_in_schema} unpacks to more than {PACKED_BY} times the file's size, "
                    "as no text does; write the file again"
                )


def _unreadable(path: Path, error: Exception, where: str = "") -> CalibrationError:
    return CalibrationError(f"{path}: cannot be read as Parquet{where}: {one_line(error)}; write the file again")
