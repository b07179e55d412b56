"""Passages into vectors by the words they use; offline."""

import functools
import itertools
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from calibration.clustering.stop_words import stop_words_of
from calibration.clustering.vectors import unit_length
from calibration.passage import Passage, rows_by_domain, words
from calibration.seeded import one_thread


class LexicalEmbedder:
    """Which words and pairs of words a passage uses: hashed TF-IDF, reduced by a truncated SVD. Offline.

    Each domain is fitted on its own, so that its vectors tell its passages apart rather than from other domains,
    and do not change when a domain is added; vectors of two domains are not comparable. What fewer than two or more
    than 30% of a domain's passages hold is left out, and so are the stop words of its language.

    Args:
        argument: unused; the lexical embedder has no variants.
        seed: seed of the randomised SVD.

    Source: Deerwester et al. 1990, "Indexing by latent semantic analysis".
    """

    dim = 64
    features = 2**18
    too_common = 0.3

    def __init__(self, argument: str, seed: int) -> None:
        self.name, self.seed = "lexical", seed

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

        def counted(stop_words: Collection[str]) -> Any:
            analyzer = functools.partial(_words_and_pairs, stop_words)
            return HashingVectorizer(
                n_features=self.features, analyzer=analyzer, alternate_sign=False, norm=None
            ).transform(texts)

        counts = counted(stop_words_of(texts))
        if not counts.nnz:  # nothing but stop words
            counts = counted(())
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


def _words_and_pairs(stop_words: Collection[str], text: str) -> list[str]:
    """List the words of a text that are no stop words, then its pairs of neighbours among these."""
    single = [word for word in words(text) if word not in stop_words]
    return single + [f"{a} {b}" for a, b in itertools.pairwise(single)]
