"""Numbers of tokens as a person writes them: ``500k``, ``2M``."""

from __future__ import annotations

import re
from typing import Any

UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}
COUNT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)([kmb]?)", re.IGNORECASE)


def read_count(value: Any) -> Any:
    """Read ``500k`` and ``2M``, as on the command line; ``auto`` is None, and what is no text stays as it is.

    Raises:
        ValueError: no such words.
    """
    if not isinstance(value, str) or value == "auto":
        return None if value == "auto" else value
    if not (found := COUNT.fullmatch(value)):
        raise ValueError("expected a number of tokens such as 500k or 2M")
    return int(float(found[1]) * UNITS[found[2].lower()])
