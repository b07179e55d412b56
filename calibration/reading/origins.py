"""Where rows come from: a local file or a hub dataset, read by ``datasets``, streaming."""

import contextlib
import glob
import itertools
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from calibration.errors import CalibrationError, one_line
from calibration.reading.files import explain, file_format

SEPARATOR = "<|endoftext|>"
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

    def rows(self, cache: str) -> Iterator[dict[str, Any]]:
        """Read the rows one by one; ``cache`` is a folder that is deleted afterwards.

        Raises:
            CalibrationError: the rows cannot be read.
        """


@contextlib.contextmanager
def rows_of(origin: Origin) -> Iterator[Iterable[dict[str, Any]]]:
    """Open the rows of an origin, read lazily; local files never touch the network nor the user's caches."""
    with tempfile.TemporaryDirectory(prefix="evop-datasets-") as cache, _quiet_datasets():
        yield origin.rows(cache)


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

    def rows(self, cache: str) -> Iterator[dict[str, Any]]:
        """Read the rows of the file; of a text file, each document is a row with a ``text``."""
        rows = self._stream(cache)
        return _documents(rows) if file_format(self.path.name) == "text" else rows

    def _stream(self, cache: str) -> Iterator[dict[str, Any]]:
        """Read the rows as ``datasets`` sees them; whatever it raises becomes one line."""
        import datasets

        builder = str(file_format(self.path.name))
        options = {"keep_linebreaks": True} if builder == "text" else {}
        files = glob.escape(str(self.path.resolve()))
        try:
            yield from datasets.load_dataset(
                builder, data_files=files, split="train", streaming=True, cache_dir=cache, **options
            )
        except Exception as error:
            raise explain(self.path, error) from error


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

    @property
    def name(self) -> str:
        """``repo:config:split``, the config empty where there is none."""
        return ":".join((self.repo, self.config or "", self.split))

    def rows(self, cache: str) -> Iterator[dict[str, Any]]:
        """Read the rows of the dataset; ``datasets`` keeps what it downloads in its own cache."""
        import datasets

        try:
            builder = datasets.load_dataset_builder(self.repo, self.config)
            self.revision = builder.hash if _COMMIT.match(builder.hash or "") else None
            yield from builder.as_streaming_dataset(split=self.split)
        except Exception as error:
            raise CalibrationError(
                f"{self.where}: hub dataset cannot be read: {one_line(error)}; check name, config, split and network"
            ) from error


def _documents(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Join the lines of a text file into documents.

    A line ``<|endoftext|>`` ends a document; a byte-order mark is no text.
    """
    for ends, block in itertools.groupby(lines, key=lambda line: line["text"].strip() == SEPARATOR):
        if not ends:
            yield {"text": "".join(line["text"] for line in block).removeprefix("\ufeff")}


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
