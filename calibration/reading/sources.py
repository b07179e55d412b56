"""The documents of a domain: a specification that a person typed is opened, and its rows become texts and chats."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.errors import CalibrationError
from calibration.reading.chats import CHAT_COLUMNS, Messages, content_of, tools_of, with_system
from calibration.reading.files import FORMATS, checked_sha256, file_format, is_there
from calibration.reading.harness import PREFIX, HarnessTask
from calibration.reading.origins import HubDataset, LocalFile, Origin

TOOLS = ("tools", "functions")
"""Columns that hold the tools which the chat of a row may call; the first that is filled counts."""
SYSTEM = "system"
"""The column that holds the system message of a chat which has none of its own."""
_HUB = re.compile(r"^[\w.-]+/[\w.-]+$")
_ONLY = re.compile(r"^(?P<spec>.+:\w+):(?P<column>\w+)=(?P<value>[^:]+)$")


@dataclass(frozen=True)
class Document:
    """The content of one row.

    Attributes:
        name: name of the document that the row belongs to; several rows may bear one name.
        text: text of the row, or None for a chat.
        messages: messages of a chat, or None for a text.
        tools: the tools that the chat may call; None for none.
    """

    name: str
    text: str | None
    messages: Messages | None
    tools: Messages | None = None


@dataclass
class Source:
    """One opened source; iterating ``documents`` reads it, a row at a time, and fills the counts.

    Attributes:
        domain: name of the domain or task that the source belongs to.
        spec: the specification that the person typed.
        origin: where the rows come from.
        column: name of the column with the text or messages; None for ``text``, else ``messages``, else
            ``conversations``.
        group_by: name of the column that names the document of a row; None where each row is a document.
        only: a column, and what it holds in the rows that are read; None reads every row.
        joined: whether other sources feed the same domain, so that one document may lie in several of them.
        rows: number of rows read so far.
        empty: number of rows read whose text was missing or blank.
    """

    domain: str
    spec: str
    origin: Origin
    column: str | None = None
    group_by: str | None = None
    only: tuple[str, str] | None = None
    joined: bool = False
    rows: int = 0
    empty: int = 0

    @property
    def where(self) -> str:
        """Start of every message about the source."""
        return self.origin.where

    @property
    def sha256(self) -> str | None:
        """Checksum (hex) of a local file; None for others."""
        return self.origin.sha256

    @property
    def revision(self) -> str | None:
        """Commit of a hub dataset once it was read, where it is known; None for others."""
        return self.origin.revision

    def documents(self) -> Iterator[Document]:
        """Read the documents in order; rows without text are counted and skipped.

        Raises:
            CalibrationError: unreadable, a column it does not have, a column that holds neither text nor messages.
        """
        for row in self.origin.rows(self._choose_columns):
            name = self.document_name(row)
            self.rows += 1
            if self.only is not None and row.get(self.only[0]) != self.only[1]:
                continue
            content = self._read(str(self.column), content_of, row, str(self.column), self.origin.filled)
            if content is None:
                self.empty += 1
            elif isinstance(content, str):
                yield Document(name, content, None)
            else:
                filled = [self._read(column, tools_of, row, self.origin.filled) for column in self._beside(TOOLS)]
                for column in self._beside([SYSTEM]):
                    content = with_system(content, row.get(column))
                yield Document(name, None, content, next(filter(None, filled), None))

    def _beside(self, columns: Iterable[str]) -> list[str]:
        """List the columns that complete a chat, but for the one that holds it."""
        return [column for column in columns if column != self.column]

    def _read(self, column: str, reader: Callable[..., Any], row: dict[str, Any], *how: Any) -> Any:
        """Read a cell of a row; what is wrong with it is said with column and row."""
        try:
            return reader(row.get(column), *how)
        except ValueError as error:
            raise CalibrationError(f"{self.where}: column {column!r}, row {self.rows}: {error}") from error

    def _choose_columns(self, columns: list[str]) -> list[str]:
        """Settle ``column``, check ``group_by``, and list the columns that are read, out of those that there are."""
        listed = ", ".join(name if name == name.strip() else repr(name) for name in columns)
        if self.column is None:
            self.column = next((name for name in ("text", *CHAT_COLUMNS) if name in columns), None)
            if self.column is None:
                raise CalibrationError(
                    f"{self.where}: no column text or messages; it has: {listed}; name one: {self.spec}:COLUMN"
                )
        if self.column not in columns:
            raise CalibrationError(f"{self.where}: no column {self.column!r}; it has: {listed}")
        if self.group_by is not None and self.group_by not in columns:
            raise CalibrationError(f"{self.where}: no column {self.group_by!r} to group by; it has: {listed}")
        if self.only is not None and self.only[0] not in columns:
            raise CalibrationError(f"{self.where}: no column {self.only[0]!r} to choose rows by; it has: {listed}")
        only = None if self.only is None else self.only[0]
        wanted = [self.column, self.group_by, only, *(name for name in (*TOOLS, SYSTEM) if name in columns)]
        return [name for name in dict.fromkeys(wanted) if name is not None]

    def document_name(self, row: dict[str, Any]) -> str:
        """Name the document of a row: ``file.jsonl@1a2b3c4d#12`` or ``...#column=value``.

        Where several sources feed a domain, a value names one document over all of them.
        """
        value = row.get(self.group_by) if self.group_by is not None else None
        value = value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
        if value is not None and self.joined:
            return f"{self.domain}#{self.group_by}={value}"
        return f"{self.origin.name}#{self.rows}" if value is None else f"{self.origin.name}#{self.group_by}={value}"


def open_source(domain: str, spec: str, group_by: str | None = None, what: str = "domain") -> Source:
    """Open the source that a specification means, checked as far as that goes without reading rows.

    Args:
        domain: the domain's name.
        spec: a local ``.jsonl``, ``.json``, ``.parquet``, ``.csv`` or ``.txt`` file (also ``.gz``, ``.bz2``,
            ``.xz``) as ``path``, ``path:column`` or ``path:column:key=value`` (rows whose column ``key`` holds
            that alone), or a hub dataset as ``repo/name:config:split:column``, where
            config may be empty and the last parts left out (split ``train``). The column defaults to ``text``,
            else ``messages`` (a list of ``{"role", "content"}``), else ``conversations``. A ``.txt`` file is one
            document, or several separated by lines ``<|endoftext|>``. Of a task also ``lm_eval:task``,
            ``lm_eval:task:folder``.
        group_by: column that names the document of a row; None where each row is a document.
        what: ``domain``, or ``task``, for messages.

    Raises:
        CalibrationError: a missing or empty file, not UTF-8, or a specification that means nothing.
    """
    where = f"{what} {domain}: {spec}"
    if what == "task" and spec.startswith(PREFIX):
        return Source(domain, spec, HarnessTask.open(where, spec), group_by=group_by)
    path, column, only = spec, None, None
    if not is_there(spec) and (chosen := _ONLY.match(spec)):
        path, only = chosen["spec"], (chosen["column"], chosen["value"])
    if not is_there(path) and ":" in path:
        path, column = path.rsplit(":", 1)
    if file_format(path):
        file = LocalFile(where, Path(path), checked_sha256(Path(path)))
        return Source(domain, spec, file, column, group_by, only)
    parts = spec.split(":")
    if is_there(path) or is_there(parts[0]):
        raise CalibrationError(f"{where}: not a known format ({', '.join(FORMATS)}, or .gz of one)")
    if not _HUB.match(parts[0]) or len(parts) > 4:
        raise CalibrationError(
            f"{where}: neither a file ({', '.join(FORMATS)}) nor repo/name:config:split:column; check the path"
        )
    repo, config, split, column = (parts + [""] * 4)[:4]
    return Source(domain, spec, HubDataset(where, repo, config or None, split or "train"), column or None, group_by)
