"""JSON from a file that anybody may have written: read to its end or refused on one line."""

import json
from typing import Any

DEEPEST = 100
"""Lists and objects inside one another, at most; what walks a value by itself stops far later."""
TOO_DEEP = f"nested more than {DEEPEST} deep"
MOST_PARTS = 1_000_000
"""Lists and objects of one row at most: empty ones take fifty times the memory that they take in the file."""


def row_value(text: str | bytes) -> Any:
    """Read one JSON value as ``json_value``, which is one of many and holds what people say.

    Raises:
        ValueError: as there, or of more than ``MOST_PARTS`` lists and objects.
    """
    refuse_many(brackets(text))
    return json_value(text)


def brackets(text: str | bytes) -> int:
    """Count what may open a list or an object, inside of texts too."""
    return text.count(b"[") + text.count(b"{") if isinstance(text, bytes) else text.count("[") + text.count("{")


def refuse_many(parts: int) -> None:
    """Check, before a value is read, how many lists and objects it may be.

    Raises:
        ValueError: more than ``MOST_PARTS``.
    """
    if parts > MOST_PARTS:
        raise ValueError(f"more than {MOST_PARTS:,} lists and objects")


def json_value(text: str | bytes) -> Any:
    """Read one JSON value.

    Args:
        text: the JSON; bytes are UTF-8, and a byte-order mark before it is no part of it.

    Raises:
        ValueError: not UTF-8, not JSON, or nested more than ``DEEPEST`` deep; a ``json.JSONDecodeError`` where a place
            is known.
    """
    if isinstance(text, bytes):
        text = text.decode()
    try:
        value = json.loads(text.removeprefix("\ufeff"))
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    refuse_deep(value, text.count("[") + text.count("{"))
    return value


def refuse_deep(value: Any, brackets: int) -> None:
    """Check how deep a value is nested.

    Args:
        value: what JSON gave.
        brackets: opening brackets in its text; so few that it cannot be deep, and it is not looked through.

    Raises:
        ValueError: it is nested more than ``DEEPEST`` deep.
    """
    level = [value] if brackets > DEEPEST else []
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise ValueError(TOO_DEEP)


def whole_characters(text: str) -> str:
    """Pass on a text that a file can hold.

    Raises:
        ValueError: half of a surrogate pair stands in it, as JSON may write one.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"half a character ({error.object[error.start]!a}) at {error.start}; write the whole one, or drop it"
        ) from error
    return text
