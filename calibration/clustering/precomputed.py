"""Vectors made elsewhere, looked up by passage."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from calibration.clustering.vectors import unit_length
from calibration.errors import CalibrationError, one_line
from calibration.passage import Passage
from calibration.reading.parquet_rows import parquet_columns, parquet_rows


class PrecomputedEmbedder:
    """Vectors made elsewhere: a Parquet file with columns ``id`` (passage id) and ``vector`` (list of numbers).

    ``calibration.read_passages(recipe)`` gives the passages, with their ids, to make them for.

    Args:
        argument: path of the file.
        seed: unused.

    Raises:
        CalibrationError: missing or unreadable file, wrong columns, vectors of different lengths or not finite.
    """

    def __init__(self, argument: str, seed: int) -> None:
        self.name, self.path = f"precomputed:{argument}", argument
        if not Path(argument).is_file():
            raise CalibrationError(f"embedder precomputed:{argument}: no such file; expected a Parquet file")
        columns = parquet_columns(Path(argument))
        if not {"id", "vector"} <= set(columns):
            raise CalibrationError(
                f"embedder precomputed:{argument}: has columns {', '.join(columns)}; expected id, vector"
            )
        rows = [(str(row["id"]), row["vector"]) for row in parquet_rows(Path(argument), ("id", "vector"))]
        try:
            vectors = np.asarray([vector for _, vector in rows], dtype=np.float32)
        except (ValueError, TypeError, OverflowError) as error:
            raise CalibrationError(
                f"embedder precomputed:{argument}: column vector: {one_line(error)}; expected equally long lists"
            ) from error
        if vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise CalibrationError(
                f"embedder precomputed:{argument}: column vector holds empty or non-finite vectors; mend them"
            )
        self.vectors = vectors
        self.row = {key: i for i, (key, _) in enumerate(rows)}

    def embed(self, passages: Sequence[Passage]) -> np.ndarray:
        """Look passages up: float32 ``[n, dim]``.

        Raises:
            CalibrationError: a passage has no vector.
        """
        missing = [passage.id for passage in passages if passage.id not in self.row]
        if missing:
            raise CalibrationError(
                f"embedder precomputed:{self.path}: no vector for {len(missing)} of {len(passages)} passages, "
                f"e.g. {missing[0]}; make them for calibration.read_passages(recipe)"
            )
        return unit_length(self.vectors[[self.row[passage.id] for passage in passages]])

    def notes(self, passages: Sequence[Passage]) -> list[str]:
        """Say nothing: how the vectors were made is not known."""
        return []
