"""How large a pattern was asked to be and how large it came out, as a person writes and reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from patterns.feasible import asked_of

UNITS = {"B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40, "KB": 10**3, "MB": 10**6, "GB": 10**9}
"""Unit of a number of bytes, in capitals -> its bytes."""
_BYTES = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([A-Za-z]*)\s*")
COUNTED = {"params": "parameters", "flops": "FLOPs per token", "kv": "KV-cache bytes per token", "latency": "time"}
"""Cost -> what it counts, in words."""
Remove = float | dict[str, float] | None
"""A fraction of one cost, or one of each of several, or none."""


class Sized(Protocol):
    """What a pattern file and an audit's row say alike of a pattern's size."""

    @property
    def asked(self) -> Mapping[str, float]:
        """Cost -> the fraction of the blocks that was to leave."""

    @property
    def reached(self) -> Any:
        """The fractions that left."""

    @property
    def fit(self) -> Any:
        """The limit in bytes and what was reached; None where there was none."""


def read_remove(value: Any) -> Any:
    """Read what is to be removed, as it is typed or written: ``0.25``, ``flops=0.2``, several of these, or a mapping.

    Returns:
        A number, a mapping of costs to numbers, or whatever else was given, for others to refuse.

    Raises:
        ValueError: words that are no such thing, a cost twice, or a bare fraction beside a named one.
    """
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, Mapping):
        return {str(cost): _fraction(fraction) for cost, fraction in value.items()}
    if not isinstance(value, list | tuple):
        return value
    if not value:
        return None
    words = [word.strip() for each in value for word in str(each).split(",")]
    if len(words) == 1 and "=" not in words[0]:
        return _fraction(words[0])
    read: dict[str, float] = {}
    for word in words:
        cost, equals, fraction = word.rpartition("=")
        if not equals:
            raise ValueError(f"several fractions need the names of their costs, such as params={word},flops=0.2")
        if cost in read:
            raise ValueError(f"{cost} stands there twice; leave one out")
        read[cost] = _fraction(fraction)
    return read


def bare(asked: Mapping[str, float]) -> Remove:
    """Write what is asked as files do: a fraction alone where one cost is asked of, None for none."""
    return dict(asked) if len(asked) > 1 else next(iter(asked.values()), None)


def read_bytes(value: Any) -> Any:
    """Read a number of bytes as it is typed, such as ``4GiB``, ``512MiB`` or ``4000000000``.

    Raises:
        ValueError: words that are no such thing.
    """
    if not isinstance(value, str):
        return value
    found = _BYTES.fullmatch(value)
    unit = found.group(2).upper() or "B" if found else ""
    if found is None or unit not in UNITS:
        raise ValueError("expected a number of bytes, such as 4GiB, 512MiB or 4000000000")
    return int(float(found.group(1)) * UNITS[unit])


def bytes_words(count: int) -> str:
    """Write a number of bytes for a person, such as ``3.91 GiB``."""
    unit = "GiB" if count >= 2**30 else "MiB"
    return f"{count / UNITS[unit.upper()]:.2f} {unit}"


def budget_name(remove: Remove, fit_in: int | None) -> str:
    """Name what is asked, in one word that a folder can have: ``0.25``, ``params=0.25,kv=0.2`` or ``fit=4GiB``."""
    named = [f"{cost}={fraction}" for cost, fraction in asked_of(remove, "").items() if cost]
    words = named or ([] if remove is None else [str(remove)])
    return ",".join([*words, *([] if fit_in is None else [f"fit={_exact_bytes(fit_in)}"])])


def asked_and_reached(size: Sized) -> list[tuple[str, str]]:
    """Say what was asked of a pattern, one by one, and what it reached of that."""
    rows = [
        (f"{fraction:.1%} of the blocks' {COUNTED.get(cost, cost)}", f"{size.reached.of_blocks.get(cost, 0.0):.1%}")
        for cost, fraction in size.asked.items()
    ]
    if size.fit is not None:
        rows.append((f"at most {bytes_words(size.fit.bytes)} of {size.fit.words}", bytes_words(size.fit.reached)))
    return rows


def size_words(size: Sized) -> str:
    """Say the same on one line, in few words: ``params 25.0%: 25.1%``."""
    words = [
        f"{cost} {fraction:.1%}: {size.reached.of_blocks.get(cost, 0.0):.1%}" for cost, fraction in size.asked.items()
    ]
    if size.fit is not None:
        words.append(f"{bytes_words(size.fit.bytes)}: {bytes_words(size.fit.reached)}")
    return ", ".join(words)


def _exact_bytes(count: int) -> str:
    unit = next(unit for unit in ("GiB", "MiB", "KiB", "B") if count % UNITS[unit.upper()] == 0)
    return f"{count // UNITS[unit.upper()]}{unit}"


def _fraction(word: Any) -> float:
    try:
        return float(word)
    except (ValueError, TypeError):
        raise ValueError("expected a fraction such as 0.25, or COST=FRACTION such as flops=0.2") from None
