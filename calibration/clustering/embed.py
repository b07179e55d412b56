"""Passages into vectors: the ``Embedder`` protocol, its table, and three that follow it."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from calibration.errors import CalibrationError, one_line
from calibration.passage import Passage, rows_by_domain, words
from calibration.seeded import one_thread


class Embedder(Protocol):
    """What turns passages into vectors of unit length; deterministic."""

    def embed(self, passages: Sequence[Passage]) -> np.ndarray:
        """Embed passages: float32 ``[len(passages), dim]``, each of length 1 (or 0 for one without features)."""

    def notes(self, passages: Sequence[Passage]) -> list[str]:
        """Say what a user must know about these vectors; often nothing."""


class LexicalEmbedder:
    """Which words and pairs of words a passage uses: hashed TF-IDF, reduced by a truncated SVD. Offline.

    Each domain is fitted on its own, so that its vectors tell its passages apart rather than from other domains,
    and do not change when a domain is added; vectors of two domains are not comparable. What fewer than two or more
    than 30% of a domain's passages hold is left out.

    Args:
        argument: unused; the lexical embedder has no variants.
        seed: seed of the randomised SVD.

    Source: Deerwester et al. 1990, "Indexing by latent semantic analysis".
    """

    dim = 64
    features = 2**18
    too_common = 0.3

    def __init__(self, argument: str, seed: int) -> None:
        self.seed = seed

    def embed(self, passages: Sequence[Passage]) -> np.ndarray:
        """Embed passages: float32 ``[n, 64]``, with zeros at the end for a domain too small to fill them."""
        vectors = np.zeros((len(passages), self.dim), dtype=np.float32)
        for rows in rows_by_domain(passages).values():
            with one_thread():
                reduced = self._reduced(self._weighted([passages[i].plain for i in rows]))
            vectors[rows, : reduced.shape[1]] = unit_length(reduced)
        return vectors

    def notes(self, passages: Sequence[Passage]) -> list[str]:
        """Say nothing: every passage is read whole."""
        return []

    def _weighted(self, texts: Sequence[str]) -> Any:
        """Weight hashed words and pairs of words by TF-IDF; a SciPy sparse matrix."""
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

        counts = HashingVectorizer(
            n_features=self.features,
            analyzer=_words_and_pairs,
            alternate_sign=False,
            norm=None,
        ).transform(texts)
        held_by = np.bincount(counts.indices, minlength=self.features)
        kept = (held_by >= 2) & (held_by <= self.too_common * len(texts))
        if kept.sum() < self.dim:  # hardly any text: every word counts
            kept = held_by >= 1
        return TfidfTransformer(sublinear_tf=True).fit_transform(counts[:, np.flatnonzero(kept)])

    def _reduced(self, weighted: Any) -> np.ndarray:
        """Compute the first left singular vectors times their singular values, float64 ``[n, at most 64]``."""
        from sklearn.utils.extmath import randomized_svd

        dim = min(self.dim, *weighted.shape)
        left, strengths, _ = randomized_svd(
            weighted, dim, n_iter=2, power_iteration_normalizer="none", random_state=self.seed
        )
        return left * strengths


class SentenceEmbedder:
    """A sentence-transformers model, by name or path; what a passage means rather than which words it uses.

    Args:
        argument: name or path of the model.
        seed: unused; the model is deterministic.

    Raises:
        CalibrationError: no such model, or it cannot be loaded.
    """

    def __init__(self, argument: str, seed: int) -> None:
        self.name = argument
        with _quiet_transformers():
            try:
                from sentence_transformers import SentenceTransformer

                self.model = SentenceTransformer(argument, trust_remote_code=False)
            except Exception as error:
                raise CalibrationError(
                    f"embedder {argument}: cannot be loaded: {one_line(error)}; expected lexical, "
                    f"precomputed:FILE.parquet, or the name or folder of a sentence-transformers model"
                ) from error

    def embed(self, passages: Sequence[Passage]) -> np.ndarray:
        """Embed passages: float32 ``[n, the model's dim]``."""
        texts = [passage.plain for passage in passages]
        with _quiet_transformers():
            vectors = self.model.encode(texts, show_progress_bar=False, convert_to_numpy=True)
        return unit_length(np.asarray(vectors))

    def notes(self, passages: Sequence[Passage]) -> list[str]:
        """Say so when the model reads only the beginning of some passages."""
        reads = self.model.get_max_seq_length()
        longer = sum(passage.tokens > reads for passage in passages) if reads else 0
        if not longer:
            return []
        return [
            f"embedder {self.name} reads the first {reads} tokens of a passage; about {longer} of {len(passages)} "
            f"passages are longer (estimated), so their ends do not count for their cluster"
        ]


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
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = argument
        if not Path(argument).is_file():
            raise CalibrationError(f"embedder precomputed:{argument}: no such file; expected a Parquet file")
        try:
            table = pq.ParquetFile(argument).read()
        except (OSError, pa.ArrowException) as error:
            raise CalibrationError(f"embedder precomputed:{argument}: not a Parquet file: {one_line(error)}") from error
        if not {"id", "vector"} <= set(table.column_names):
            raise CalibrationError(
                f"embedder precomputed:{argument}: has columns {', '.join(table.column_names)}; expected id, vector"
            )
        try:
            vectors = np.asarray(table["vector"].to_pylist(), dtype=np.float32)
        except (ValueError, TypeError) as error:
            raise CalibrationError(
                f"embedder precomputed:{argument}: column vector: {one_line(error)}; expected equally long lists"
            ) from error
        if vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise CalibrationError(
                f"embedder precomputed:{argument}: column vector holds empty or non-finite vectors; mend them"
            )
        self.vectors = vectors
        self.row = {str(key): i for i, key in enumerate(table["id"].to_pylist())}

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


EMBEDDERS: dict[str, type[LexicalEmbedder] | type[SentenceEmbedder] | type[PrecomputedEmbedder]] = {
    "lexical": LexicalEmbedder,
    "precomputed": PrecomputedEmbedder,
    "sentence-transformers": SentenceEmbedder,
}


def embedder(spec: str, seed: int) -> Embedder:
    """Make the embedder that a recipe names.

    Args:
        spec: ``lexical``, ``precomputed:FILE.parquet``, or the name or path of a sentence-transformers model
            (``sentence-transformers:NAME`` says so outright).
        seed: seed of whatever is random in it.
    """
    kind, _, argument = spec.partition(":")
    if kind in EMBEDDERS:
        return EMBEDDERS[kind](argument, seed)
    return SentenceEmbedder(spec, seed)


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1, float32; a row of zeros stays."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def _words_and_pairs(text: str) -> list[str]:
    """List the words of a text, then its pairs of neighbouring words."""
    single = words(text)
    return single + [f"{a} {b}" for a, b in itertools.pairwise(single)]


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Silence the progress bars of ``transformers`` meanwhile; its setting is put back after."""
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()
