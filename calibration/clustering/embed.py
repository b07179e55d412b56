"""Passages into vectors: the ``Embedder`` protocol, and the table of those that follow it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from calibration.clustering.lexical import LexicalEmbedder
from calibration.clustering.precomputed import PrecomputedEmbedder
from calibration.clustering.sentence import MiniLMEmbedder, SentenceEmbedder
from calibration.passage import Passage

AUTO = "auto"


class Embedder(Protocol):
    """What turns passages into vectors of unit length; deterministic.

    Attributes:
        name: what the manifest says made the vectors.
    """

    name: str

    def embed(self, passages: Sequence[Passage]) -> np.ndarray:
        """Embed passages: float32 ``[len(passages), dim]``, each of length 1 (or 0 for one without features)."""

    def notes(self, passages: Sequence[Passage]) -> list[str]:
        """Say what a user must know about these vectors; often nothing."""


EMBEDDERS: dict[str, type[LexicalEmbedder] | type[SentenceEmbedder] | type[PrecomputedEmbedder]] = {
    "lexical": LexicalEmbedder,
    "minilm": MiniLMEmbedder,
    "precomputed": PrecomputedEmbedder,
    "sentence-transformers": SentenceEmbedder,
}


def embedder(spec: str, seed: int) -> Embedder:
    """Make the embedder that a recipe names.

    Args:
        spec: ``auto``, which is ``minilm`` where that is installed, else ``lexical``; one of these two;
            ``precomputed:FILE.parquet``; or the name or path of a sentence-transformers model
            (``sentence-transformers:NAME`` says so outright).
        seed: seed of whatever is random in it.
    """
    if spec == AUTO:
        spec = "minilm" if MiniLMEmbedder.is_installed() else "lexical"
    kind, _, argument = spec.partition(":")
    if kind in EMBEDDERS:
        return EMBEDDERS[kind](argument, seed)
    return SentenceEmbedder(spec, seed)
