"""What may have happened to a file: hypothesis makes up bytes that moved, and values that somebody changed."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

from calibration.checksum import CHECKSUM, with_checksum
from patterns import checked_lines

ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 1e308, float("nan"), float("inf"), 10**30, "", "x", "layers.0.mlp", "\0", "\ud800", "²"),
    *([], [None], [[]], {}, {"a": 1}, "9" * 5000, [0] * 50),
)
"""Values of every kind, the awkward ones of it."""


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes of a file: cut off, changed in places, with some of them twice, or with others in between."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        end = min(len(data), at + draw(st.integers(1, 30)))
        what = draw(st.sampled_from(("cut", "flip", "drop", "twice", "between")))
        if what == "cut":
            del data[at:]
        elif what == "flip" and data:
            data[at] ^= draw(st.integers(1, 255))
        elif what == "drop":
            del data[at:end]
        elif what == "twice":
            data[at:at] = data[at:end]
        else:
            data[at:at] = draw(
                st.sampled_from((b"\0", b"\xff", b"\xef\xbb\xbf", b"[" * 300, b"\n", b'"', b"{", b"9" * 400))
            )
    return bytes(data)


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """A value of JSON, of which some place holds something else, is gone, or is there under another name."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 2))):
        holder: Any = None
        key: Any = None
        inner = value
        while isinstance(inner, dict | list) and inner and (holder is None or draw(st.integers(0, 4))):
            holder, keys = inner, sorted(inner) if isinstance(inner, dict) else range(len(inner))
            key = draw(st.sampled_from(keys))
            inner = holder[key]
        if holder is None:
            return copy.deepcopy(draw(st.sampled_from(ODD)))
        what = draw(st.sampled_from(("odd", "odd", "gone", "added", "neighbour")))
        if what == "gone":
            del holder[key]
        elif what == "added" and isinstance(holder, dict):
            holder[draw(st.sampled_from(("x", "schema", "")))] = inner
        elif what == "added":
            holder.insert(key, copy.deepcopy(inner))
        elif what == "neighbour":
            others = sorted(holder) if isinstance(holder, dict) else range(len(holder))
            holder[key] = copy.deepcopy(holder[draw(st.sampled_from(others))])
        else:
            holder[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
    return value


def written(value: Any) -> bytes:
    """A value as JSON, half characters and what is no number too."""
    return json.dumps(value, allow_nan=True).encode()


def signed(value: Any) -> Any:
    """The value with the checksum that fits it, where it had one."""
    if not isinstance(value, dict) or CHECKSUM not in value:
        return value
    return with_checksum({key: inner for key, inner in value.items() if key != CHECKSUM})


def signed_lines(rows: list[Any]) -> bytes:
    """Values as lines of JSON; where they had checksums, with those that fit them, one after the other."""
    lines, before = [], ""
    for row in rows:
        line = written(row)
        if isinstance(row, dict) and CHECKSUM in row:
            said = written({key: inner for key, inner in row.items() if key != CHECKSUM}).decode()
            line = checked_lines.with_checksum(said, before).encode()
            _, before = checked_lines.without_checksum(line, before)
        lines.append(line + b"\n")
    return b"".join(lines)
