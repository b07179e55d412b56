"""A file that holds several domains, the domain beside the text: the search sample as other tools read it.

One JSON object a line: ``domain``, ``document``, and ``text``, or ``messages`` (and ``tools``) of a chat.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from calibration.errors import CalibrationError
from calibration.passage import Passage
from calibration.reading.chats import CHAT_COLUMNS
from calibration.reading.files import FORMATS, checked_sha256, file_format
from calibration.reading.origins import LocalFile
from calibration.recipe import DOMAIN_NAME

DOMAIN, DOCUMENT = "domain", "document"
"""Columns that name the domain of a row, and its document."""
OTHER_LINE_ENDS = {ord(sign): f"\\u{ord(sign):04x}" for sign in "\x85\u2028\u2029"}
"""Signs that some readers of lines end a line at, as JSON writes them otherwise."""


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
        yield json.dumps(row, ensure_ascii=False).translate(OTHER_LINE_ENDS) + "\n"


def domains_in(path: Path) -> tuple[list[str], list[str]]:
    """Find the domains that a file holds.

    Args:
        path: a JSONL, JSON, Parquet or CSV file with a column ``domain`` beside ``text`` or ``messages``.

    Returns:
        ``NAME=SOURCE`` of every domain, one for its texts and one for its chats; ``NAME=COLUMN`` of the column that
        names the document of a row, for every domain of which a row has it: a row without is a document then.

    Raises:
        CalibrationError: not such a file, a row without a domain or with a name that none can have, a domain without
            text, or no row.
    """
    where, tables = f"--import {path}", [suffix for suffix, held in FORMATS.items() if held != "text"]
    if file_format(path.name) in (None, "text"):
        raise CalibrationError(f"{where}: not a table with rows; expected one of {', '.join(tables)} with {DOMAIN}")
    found: dict[tuple[str, str], None] = {}
    names: dict[str, None] = {}

    def choose(there: list[str]) -> list[str]:
        if DOMAIN not in there:
            raise CalibrationError(f"{where}: no column {DOMAIN!r}; it has: {', '.join(there)}")
        return [name for name in (DOMAIN, "text", *CHAT_COLUMNS, DOCUMENT) if name in there]

    documented: set[str] = set()
    for number, row in enumerate(LocalFile(where, path, checked_sha256(path)).rows(choose), 1):
        name = _named(row.get(DOMAIN), f"{where}: row {number}")
        names[name] = None
        if row.get(DOCUMENT) is not None:
            documented.add(name)
        held = next((column for column in ("text", *CHAT_COLUMNS) if row.get(column)), None)
        if held is not None:
            found[name, held] = None
    if not found:
        raise CalibrationError(f"{where}: no rows with text or messages")
    if empty := next((name for name in names if name not in {domain for domain, _ in found}), None):
        raise CalibrationError(f"{where}: no row of domain {empty} has text or messages; drop its rows")
    words = [f"{domain}={path}:{column}:{DOMAIN}={domain}" for domain, column in found]
    return words, [f"{name}={DOCUMENT}" for name in names if name in documented]


def _named(name: Any, where: str) -> str:
    """Give back the name of a domain.

    Raises:
        CalibrationError: there is none, or none can be so.
    """
    if name is None or name == "":
        raise CalibrationError(f"{where} has no {DOMAIN}; expected its name")
    if not isinstance(name, str) or not re.fullmatch(DOMAIN_NAME, name):
        raise CalibrationError(
            f"{where}: {DOMAIN} {str(name)[:80]!r}; expected letters, digits, '_', '-' and '.', the first a letter "
            "or digit; rename it"
        )
    return name
