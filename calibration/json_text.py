"""JSON from a file that anybody may have written: read to its end or refused on one line."""

import json
import re
from typing import Any

DEEPEST = 100
"""Lists and objects inside one another, at most; what walks a value by itself stops far later."""
TOO_DEEP = f"nested more than {DEEPEST} deep"
MOST_VALUES = 2_000_000
"""Values that one row is made of, at most: short ones take twenty times the memory that they take in the file."""
_STRING = re.compile('"[^"]*"?')


def row_value(text: str | bytes) -> Any:
    """Read one JSON value as ``json_value``, which is one of many and holds what people say.

    Raises:
        ValueError: as there, or of more than ``MOST_VALUES`` values.
    """
    if isinstance(text, bytes):
        text = text.decode()
    refuse_many(text)
    return json_value(text)


def refuse_many(text: str, rows: int = 1) -> None:
    """Check, before JSON is read, of how many values it is made; what stands inside of strings is none.

    Args:
        text: the JSON, or its beginning.
        rows: as many rows may be in it.

    Raises:
        ValueError: more than ``MOST_VALUES`` a row.
    """
    most = rows * MOST_VALUES
    if _begins(text) <= most:  # those inside of strings counted too
        return
    plain = text.replace("\\\\", "").replace('\\"', "")  # so that a quote begins or ends a string
    count = at = 0
    for string in _STRING.finditer(plain):
        count, at = count + _begins(plain, at, string.start()), string.end()
        if count > most:
            break
    if count + _begins(plain, at) > most:
        raise ValueError(f"a row of more than {MOST_VALUES:,} values")


def _begins(text: str, *place: int) -> int:
    """Count the signs in a text, or in a part of it, that stand before values."""
    return sum(text.count(sign, *place) for sign in "[{,")


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
