"""A file that holds several domains, the domain beside the text: the search sample as other tools read it.

One JSON object a line: ``domain``, ``document``, and ``text``, or ``messages`` (and ``tools``) of a chat.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from calibration.errors import CalibrationError
from calibration.passage import Passage
from calibration.reading.chats import CHAT_COLUMNS
from calibration.reading.files import FORMATS, checked_sha256, file_format
from calibration.reading.origins import LocalFile

DOMAIN, DOCUMENT = "domain", "document"
"""Columns that name the domain of a row, and its document."""


def sample_lines(passages: Iterable[Passage]) -> Iterator[str]:
    """Write passages as lines of JSON; questions with choices are left out."""
    for passage in passages:
        if passage.kind == "item":
            continue
        row: dict[str, Any] = {DOMAIN: passage.domain, DOCUMENT: passage.document}
        if passage.messages is None:
            row["text"] = passage.text
        else:
            row["messages"] = passage.messages
            if passage.tools is not None:
                row["tools"] = passage.tools
        yield json.dumps(row, ensure_ascii=False) + "\n"


def domains_in(path: Path) -> tuple[list[str], list[str]]:
    """Find the domains that a file holds.

    Args:
        path: a JSONL, JSON, Parquet or CSV file with a column ``domain`` beside ``text`` or ``messages``.

    Returns:
        ``NAME=SOURCE`` of every domain, one for its texts and one for its chats; ``NAME=COLUMN`` of the column that
        names the document of a row, where the file has it.

    Raises:
        CalibrationError: not such a file, a row without a domain, or no row.
    """
    where = f"--import {path}"
    if file_format(path.name) in (None, "text"):
        raise CalibrationError(f"{where}: not a table with rows; expected one of {', '.join(FORMATS)} with {DOMAIN}")
    found: dict[tuple[str, str], None] = {}
    columns: list[str] = []

    def choose(there: list[str]) -> list[str]:
        columns.extend(there)
        if DOMAIN not in there:
            raise CalibrationError(f"{where}: no column {DOMAIN!r}; it has: {', '.join(there)}")
        return [name for name in (DOMAIN, "text", *CHAT_COLUMNS, DOCUMENT) if name in there]

    documents = True
    for number, row in enumerate(LocalFile(where, path, checked_sha256(path)).rows(choose), 1):
        if not isinstance(row.get(DOMAIN), str) or not row[DOMAIN]:
            raise CalibrationError(f"{where}: row {number} has no {DOMAIN}; expected its name")
        documents = documents and row.get(DOCUMENT) is not None
        held = next((name for name in ("text", *CHAT_COLUMNS) if row.get(name)), None)
        if held is not None:
            found[row[DOMAIN], held] = None
    if not found:
        raise CalibrationError(f"{where}: no rows with text or messages")
    names = dict.fromkeys(domain for domain, _ in found)
    words = [f"{domain}={path}:{column}:{DOMAIN}={domain}" for domain, column in found]
    return words, [f"{name}={DOCUMENT}" for name in names if documents]
