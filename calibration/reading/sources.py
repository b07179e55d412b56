"""A domain's documents from a local file or a hub dataset, through ``datasets``, streaming."""

import contextlib
import glob
import itertools
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibration.errors import CalibrationError, one_line
from calibration.reading.files import FORMATS, checked_sha256, explain, file_format
from calibration.reading.harness import PREFIX, HarnessTask

SEPARATOR = "<|endoftext|>"
_HUB = re.compile(r"^[\w.-]+/[\w.-]+$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


@dataclass(frozen=True)
class Document:
    """What a passage is cut from: a text or a chat, and the name of its document in this source."""

    name: str
    text: str | None
    messages: tuple[dict[str, Any], ...] | None


@dataclass
class Source:
    """One opened source; iterating ``documents`` reads it, a row at a time, and fills the counts.

    Attributes:
        domain: the domain or task it belongs to, for messages.
        spec: what the person typed.
        path: the local file; None for others.
        hub: repository, config, split of a hub dataset; None for others.
        harness: a task of lm_eval; None for others.
        column: column with the text or messages; None for ``text``, else ``messages``.
        group_by: column that names the document of a row; None for a document a row.
        sha256: of the local file, hex; None for others.
        revision: commit of a hub dataset, known once it is read; None for a local file, or where the hub is out of
            reach and a cached copy is read.
        what: ``domain``, or ``task``, for messages.
        joined: whether other sources feed the same domain, so that one document may lie in several of them.
        rows: rows read so far.
        empty: rows read whose text was missing or blank.
    """

    domain: str
    spec: str
    path: Path | None = None
    hub: tuple[str, str | None, str] | None = None
    harness: HarnessTask | None = None
    column: str | None = None
    group_by: str | None = None
    sha256: str | None = None
    revision: str | None = None
    what: str = "domain"
    joined: bool = False
    rows: int = 0
    empty: int = 0
    _columns: list[str] = field(default_factory=list)

    @property
    def where(self) -> str:
        """Start of every message about it."""
        return f"{self.what} {self.domain}: {self.spec}"

    def documents(self) -> Iterator[Document]:
        """Its documents in order; rows without text are counted and skipped.

        Raises:
            CalibrationError: unreadable, a column it does not have, a column that holds neither text nor messages.
        """
        with rows_of(self) as rows:
            for row in rows:
                if not self._columns:
                    self._choose_columns(list(row))
                name = self.document_name(row)
                self.rows += 1
                content = row.get(str(self.column))
                text, messages = self._text_or_chat(content)
                if text is None and messages is None:
                    self.empty += 1
                else:
                    yield Document(name, text, messages)

    def _choose_columns(self, columns: list[str]) -> None:
        """Settle ``column`` and check ``group_by`` against the columns of the first row."""
        self._columns = columns
        listed = ", ".join(columns)
        if self.column is None:
            self.column = next((name for name in ("text", "messages") if name in columns), None)
            if self.column is None:
                raise CalibrationError(
                    f"{self.where}: no column text or messages; it has: {listed}; name one: {self.spec}:COLUMN"
                )
        if self.column not in columns:
            raise CalibrationError(f"{self.where}: no column {self.column!r}; it has: {listed}")
        if self.group_by is not None and self.group_by not in columns:
            raise CalibrationError(f"{self.where}: no column {self.group_by!r} to group by; it has: {listed}")

    def document_name(self, row: dict[str, Any]) -> str:
        """``file.jsonl@1a2b3c4d#12`` or ``...#column=value``; the same wherever the file lies.

        Where several sources feed a domain, a value names one document over all of them.
        """
        value = row.get(self.group_by) if self.group_by is not None else None
        if value is not None and self.joined:
            return f"{self.domain}#{self.group_by}={value}"
        if self.path is not None:
            origin = f"{self.path.name}@{(self.sha256 or '')[:8]}"
        elif self.harness is not None:
            origin = f"{PREFIX}{self.harness.name}"
        else:
            origin = ":".join(part or "" for part in self.hub or ())
        return f"{origin}#{self.rows}" if value is None else f"{origin}#{self.group_by}={value}"

    def _text_or_chat(self, content: Any) -> tuple[str | None, tuple[dict[str, Any], ...] | None]:
        """The content as text or as chat; neither if it is missing or blank."""
        if content is None or (isinstance(content, str) and not content.strip()):
            return None, None
        if isinstance(content, str):
            return content, None
        if isinstance(content, list):
            messages = tuple(_message(self, item) for item in content)
            spoken = any(message["content"].strip() for message in messages)
            return None, messages if spoken else None
        raise CalibrationError(
            f"{self.where}: column {self.column!r} holds {type(content).__name__} (row {self.rows}), "
            f"expected text or a list of messages"
        )


def open_source(domain: str, spec: str, group_by: str | None = None, what: str = "domain") -> Source:
    """What a source specification means, checked as far as that goes without reading rows.

    Args:
        domain: the domain's name.
        spec: a local ``.jsonl``, ``.json``, ``.parquet``, ``.csv`` or ``.txt`` file (also ``.gz``, ``.bz2``,
            ``.xz``) as ``path`` or ``path:column``, or a hub dataset as ``repo/name:config:split:column``, where
            config may be empty and the last parts left out (split ``train``). The column defaults to ``text``,
            else ``messages`` (a list of ``{"role", "content"}``). A ``.txt`` file is one document, or several
            separated by lines ``<|endoftext|>``. Of a task also ``lm_eval:task``, ``lm_eval:task:folder``.
        group_by: column that names the document of a row; None for a document a row.
        what: ``domain``, or ``task``, for messages.

    Raises:
        CalibrationError: a missing or empty file, not UTF-8, or a specification that means nothing.
    """
    if what == "task" and spec.startswith(PREFIX):
        harness = HarnessTask.open(f"task {domain}: {spec}", spec)
        return Source(domain, spec, harness=harness, group_by=group_by, what=what)
    path, column = spec, None
    if not Path(spec).exists() and ":" in spec:
        path, column = spec.rsplit(":", 1)
    if file_format(path):
        sha256 = checked_sha256(Path(path))
        return Source(domain, spec, Path(path), column=column, group_by=group_by, sha256=sha256, what=what)
    parts = spec.split(":")
    if Path(path).exists() or Path(parts[0]).exists():
        raise CalibrationError(f"{what} {domain}: {spec}: not a known format ({', '.join(FORMATS)}, or .gz of one)")
    if not _HUB.match(parts[0]) or len(parts) > 4:
        raise CalibrationError(
            f"{what} {domain}: {spec}: neither a file ({', '.join(FORMATS)}) nor repo/name:config:split:column; "
            f"check the path"
        )
    repo, config, split, column = (parts + [""] * 4)[:4]
    hub = (repo, config or None, split or "train")
    return Source(domain, spec, hub=hub, column=column or None, group_by=group_by, what=what)


def _message(source: Source, item: Any) -> dict[str, Any]:
    """One message of a chat, without its empty keys; what JSON cannot hold, such as a time, as text."""
    kept = {k: v for k, v in item.items() if v is not None} if isinstance(item, dict) else {}
    if not isinstance(kept.get("role"), str) or not isinstance(kept.get("content"), str):
        raise CalibrationError(
            f"{source.where}: column {source.column!r}, row {source.rows}: found {str(item)[:60]!r}, "
            f'expected messages {{"role": text, "content": text}}'
        )
    return dict(json.loads(json.dumps(kept, default=str)))


@contextlib.contextmanager
def rows_of(source: Source) -> Iterator[Iterable[dict[str, Any]]]:
    """The rows of a source as dicts, read lazily; local files never touch the network nor the user's caches."""
    with tempfile.TemporaryDirectory(prefix="evop-datasets-") as cache, _quiet_datasets():
        if source.harness is not None:
            yield source.harness.rows()
            return
        yield _texts(_stream(source, cache)) if _is_text(source) else _stream(source, cache)


def _is_text(source: Source) -> bool:
    return source.path is not None and file_format(source.path.name) == "text"


def _stream(source: Source, cache: str) -> Iterator[dict[str, Any]]:
    """Rows from ``datasets``; whatever it raises becomes one line."""
    import datasets

    try:
        if source.path is not None:
            builder = str(file_format(source.path.name))
            options = {"keep_linebreaks": True} if builder == "text" else {}
            files = glob.escape(str(source.path.resolve()))
            rows = datasets.load_dataset(
                builder, data_files=files, split="train", streaming=True, cache_dir=cache, **options
            )
        else:
            assert source.hub is not None
            repo, config, split = source.hub
            builder = datasets.load_dataset_builder(repo, config)
            source.revision = builder.hash if _COMMIT.match(builder.hash or "") else None
            rows = builder.as_streaming_dataset(split=split)
        yield from rows
    except CalibrationError:
        raise
    except Exception as error:
        if source.path is not None:
            raise explain(source.path, error) from error
        raise CalibrationError(
            f"{source.where}: hub dataset cannot be read: {one_line(error)}; check name, config, split and network"
        ) from error


def _texts(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Documents of a text file, from its lines; a line ``<|endoftext|>`` ends one; a byte-order mark is no text."""
    for ends, block in itertools.groupby(lines, key=lambda line: line["text"].strip() == SEPARATOR):
        if not ends:
            yield {"text": "".join(line["text"] for line in block).removeprefix("\ufeff")}


@contextlib.contextmanager
def _quiet_datasets() -> Iterator[None]:
    """No progress bars or log lines from ``datasets`` meanwhile; its settings are put back after."""
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
