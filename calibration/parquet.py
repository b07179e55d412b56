"""Passages and their positions as the bytes of a Parquet file."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calibration.errors import one_line
from calibration.json_text import json_value
from calibration.passage import SPLITS, Passage
from calibration.reading.chats import content_of

AT_ONCE = 16
"""Passages that are unpacked together; a small file may hold one long text a million times."""
MOST_PASSAGES, MOST_TOKENS = 1_000_000, 1 << 29
"""What a set is read up to; all of it is held in memory."""
KINDS: dict[str, Any] = {
    **dict.fromkeys(("id", "document", "domain", "split"), str),
    **dict.fromkeys(("cluster", "gold", "prompt"), int),
    **dict.fromkeys(("text", "messages", "tools"), str | None),
    **dict.fromkeys(("x", "y"), float),
    "choices": list | None,
}
"""Column -> what each of its cells holds."""


def to_parquet(passages: Sequence[Passage], positions: np.ndarray) -> bytes:
    """Encode passages, and their positions (float32 ``[passages, 2]``), as a Parquet file: one row per passage."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {
        "id": pa.array([p.id for p in passages], pa.string()),
        "document": pa.array([p.document for p in passages], pa.string()),
        "domain": pa.array([p.domain for p in passages], pa.string()),
        "cluster": pa.array([p.cluster for p in passages], pa.int32()),
        "split": pa.array([p.split for p in passages], pa.string()),
        "text": pa.array([p.text for p in passages], pa.string()),
        "messages": pa.array([_as_json(p.messages) for p in passages], pa.string()),
        "choices": pa.array([p.choices for p in passages], pa.list_(pa.string())),
        "gold": pa.array([p.gold for p in passages], pa.int32()),
        "prompt": pa.array([p.prompt for p in passages], pa.int32()),
        "tools": pa.array([_as_json(p.tools) for p in passages], pa.string()),
        "x": pa.array(positions[:, 0], pa.float32()),
        "y": pa.array(positions[:, 1], pa.float32()),
    }
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, compression="zstd")
    return stream.getvalue()


def from_parquet(content: bytes) -> tuple[tuple[Passage, ...], np.ndarray]:
    """Decode passages, and their positions (float32 ``[passages, 2]``).

    Raises:
        ValueError: they are not what ``to_parquet`` makes; says where.
    """
    import pyarrow.parquet as pq

    passages: list[Passage] = []
    positions: list[tuple[float, float]] = []
    size = 0
    try:
        for batch in pq.ParquetFile(io.BytesIO(content)).iter_batches(AT_ONCE, use_threads=False):
            for row in batch.to_pylist():
                passages.append(_passage(row))
                positions.append((row["x"], row["y"]))
                size += passages[-1].tokens
            if len(passages) > MOST_PASSAGES or size > MOST_TOKENS:
                raise ValueError(f"more than {MOST_PASSAGES:,} passages, or {MOST_TOKENS:,} tokens")
        return tuple(passages), np.array(positions, dtype=np.float32).reshape(-1, 2)
    except Exception as error:  # pyarrow raises what the file makes it raise
        what = f"no column {error}" if isinstance(error, KeyError) else one_line(error)
        raise ValueError(f"after passage {len(passages)}: {what}") from error


def _passage(row: Mapping[str, Any]) -> Passage:
    """Decode one passage.

    Raises:
        KeyError, ValueError: the row is none.
    """
    for name, kind in KINDS.items():
        if not isinstance(row[name], kind):
            raise ValueError(f"column {name} holds {str(row[name])[:40]!r}")
    if row["split"] not in SPLITS or any(not math.isfinite(row[axis]) for axis in "xy"):
        raise ValueError(f"split {row['split'][:40]!r}, at ({row['x']}, {row['y']})")
    return Passage(
        id=row["id"],
        document=row["document"],
        domain=row["domain"],
        text=row["text"],
        messages=_chat(row["messages"]),
        cluster=row["cluster"],
        split=row["split"],
        choices=None if row["choices"] is None else tuple(row["choices"]),
        gold=row["gold"],
        prompt=row["prompt"],
        tools=_objects(row["tools"]),
    )


def _chat(text: str | None) -> tuple[dict[str, Any], ...] | None:
    """Decode a chat."""
    messages = _objects(text)
    if messages is not None and content_of(list(messages), "messages", False) != messages:
        raise ValueError(f"messages {str(text)[:40]!r}")
    return messages


def _objects(text: str | None) -> tuple[dict[str, Any], ...] | None:
    """Decode the objects of a chat."""
    if text is None:
        return None
    value = json_value(text)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError(f"messages {text[:40]!r}")
    return tuple(value)


def _as_json(objects: Sequence[Mapping[str, Any]] | None) -> str | None:
    """Encode the objects of a chat as JSON; None for a text."""
    return None if objects is None else json.dumps(objects, ensure_ascii=False)
