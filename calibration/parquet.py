"""Passages and their positions as the bytes of a Parquet file."""

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from calibration.passage import Passage


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
        "messages": pa.array([_chat(p) for p in passages], pa.string()),
        "choices": pa.array([p.choices for p in passages], pa.list_(pa.string())),
        "gold": pa.array([p.gold for p in passages], pa.int32()),
        "prompt": pa.array([p.prompt for p in passages], pa.int32()),
        "x": pa.array(positions[:, 0], pa.float32()),
        "y": pa.array(positions[:, 1], pa.float32()),
    }
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, compression="zstd")
    return stream.getvalue()


def from_parquet(content: bytes) -> tuple[tuple[Passage, ...], np.ndarray]:
    """Decode passages, and their positions (float32 ``[passages, 2]``)."""
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(io.BytesIO(content)).read().to_pylist()
    passages = tuple(
        Passage(
            id=row["id"],
            document=row["document"],
            domain=row["domain"],
            text=row["text"],
            messages=None if row["messages"] is None else tuple(json.loads(row["messages"])),
            cluster=row["cluster"],
            split=row["split"],
            choices=None if row["choices"] is None else tuple(row["choices"]),
            gold=row["gold"],
            prompt=row["prompt"],
        )
        for row in rows
    )
    positions = np.array([[row["x"], row["y"]] for row in rows], dtype=np.float32).reshape(-1, 2)
    return passages, positions


def _chat(passage: Passage) -> str | None:
    """Encode the messages of a chat as JSON; None for a text."""
    return None if passage.messages is None else json.dumps(passage.messages, ensure_ascii=False)
