"""Where rows come from: a local file, read as it is written, or a hub dataset, read by ``datasets``; streaming."""

import contextlib
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from calibration.errors import CalibrationError, one_line
from calibration.reading.csv_rows import csv_rows
from calibration.reading.files import MOST_OF_A_ROW, UNREADABLE, file_format, opened
from calibration.reading.json_rows import json_rows
from calibration.reading.parquet_rows import parquet_columns, parquet_rows

SEPARATOR = "<|endoftext|>"
Choose = Callable[[list[str]], Sequence[str]]
"""Is given the columns that there are, and returns those to be read."""
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


class Origin(Protocol):
    """What gives rows, and says where they come from."""

    @property
    def where(self) -> str:
        """Start of every message about the origin."""

    @property
    def name(self) -> str:
        """Start of the names of the origin's documents; the same wherever a file lies."""

    @property
    def sha256(self) -> str | None:
        """Checksum (hex) of a local file; None for others."""

    @property
    def revision(self) -> str | None:
        """Commit of a hub dataset once it was read, where it is known; None for others."""

    @property
    def filled(self) -> bool:
        """Whether rows come out of a table, in which a key that a nested object lacks is null."""

    def rows(self, choose: Choose) -> Iterator[dict[str, Any]]:
        """Read the rows one by one, at least the columns chosen; a column that a row lacks is None, or not there.

        Raises:
            CalibrationError: the rows cannot be read.
        """


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine.

    Attributes:
        where: start of every message about the file.
        path: path of the file.
        sha256: checksum of the file, hex.
    """

    where: str
    path: Path
    sha256: str

    revision: ClassVar[str | None] = None

    @property
    def name(self) -> str:
        """``file.jsonl@1a2b3c4d``: the file's name and the beginning of its checksum."""
        return f"{self.path.name}@{self.sha256[:8]}"

    @property
    def filled(self) -> bool:
        """Whether the file is a table: Parquet."""
        return file_format(self.path.name) == "parquet"

    def rows(self, choose: Choose) -> Iterator[dict[str, Any]]:
        """Read the rows of the file; of a text file, each document is a row with a ``text``."""
        try:
            if self.filled:
                yield from parquet_rows(self.path, choose(parquet_columns(self.path)))
                return
            readers = {"json": json_rows, "csv": csv_rows, "text": text_rows}
            columns, rows = readers[str(file_format(self.path.name))](self.path)
            first = list(itertools.islice(rows, 1))
            if columns or first:
                choose(columns)
            yield from itertools.chain(first, rows)
        except (*UNREADABLE, UnicodeDecodeError) as error:  # such as a packed file that breaks off, or one that changed
            raise CalibrationError(f"{self.path}: cannot be read: {one_line(error)}") from error


@dataclass
class HubDataset:
    """A dataset of the Hugging Face hub.

    Attributes:
        where: start of every message about the dataset.
        repo: name of the repository.
        config: name of the configuration; None for the only one.
        split: name of the split.
        revision: commit of the repository, known once the dataset is read; None where the hub is out of reach and a
            cached copy is read.
    """

    where: str
    repo: str
    config: str | None
    split: str
    revision: str | None = None

    sha256: ClassVar[str | None] = None
    filled: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """``repo:config:split``, the config empty where there is none."""
        return ":".join((self.repo, self.config or "", self.split))

    def rows(self, choose: Choose) -> Iterator[dict[str, Any]]:
        """Read the rows of the dataset; ``datasets`` keeps what it downloads in its own cache."""
        import datasets

        with _quiet_datasets():
            try:
                builder = datasets.load_dataset_builder(self.repo, self.config)
                self.revision = builder.hash if _COMMIT.match(builder.hash or "") else None
                rows = iter(builder.as_streaming_dataset(split=self.split))
                first = list(itertools.islice(rows, 1))
            except Exception as error:
                raise self._unreadable(error) from error
            if first:
                choose(list(first[0]))
            try:
                yield from itertools.chain(first, rows)
            except Exception as error:
                raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> CalibrationError:
        return CalibrationError(
            f"{self.where}: hub dataset cannot be read: {one_line(error)}; check name, config, split and network"
        )


def text_rows(path: Path) -> tuple[list[str], Iterator[dict[str, str]]]:
    """Open a text file: its one column, and a row for each document."""
    return ["text"], _documents(path)


def _documents(path: Path) -> Iterator[dict[str, str]]:
    """Join the lines of a text file into documents.

    A line ``<|endoftext|>`` ends a document; a byte-order mark is no text.
    """
    with opened(path) as stream:
        lines = io.TextIOWrapper(stream, encoding="utf-8-sig")
        for ends, block in itertools.groupby(lines, key=lambda line: line.strip() == SEPARATOR):
            if not ends:
                yield {"text": "".join(_at_most(path, block))}


def _at_most(path: Path, lines: Iterable[str]) -> Iterator[str]:
    """Pass on the lines of a document; raise if they become more than memory should hold."""
    size = 0
    for line in lines:
        size += len(line)
        if size > MOST_OF_A_ROW:
            raise CalibrationError(
                f"{path}: a document of more than {MOST_OF_A_ROW >> 20} Mi characters; part it by lines {SEPARATOR}"
            )
        yield line


@contextlib.contextmanager
def _quiet_datasets() -> Iterator[None]:
    """Silence the progress bars and log lines of ``datasets`` meanwhile; its settings are put back after."""
    import datasets

    verbosity, bars = datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
        if not bars:
            datasets.enable_progress_bars()
