"""Stop words of a text's own language: words that every text holds, and that tell no two texts apart."""

import functools
from collections import Counter
from collections.abc import Sequence

from calibration.passage import words

ENGLISH = "en"
TEXTS = 300
"""Texts that the language is told by, at most."""
LEAST_SHARE = 0.25
"""Share of a text's words that are stop words of its language, at least; prose has a third to two thirds."""
TOO_COMMON = 0.4
"""In a language without a list, a word that more than this share of the texts hold is a stop word."""

FEWEST_TEXTS = 20
"""Texts that such a share is taken of, at least."""


def stop_words_of(texts: Sequence[str]) -> frozenset[str]:
    """List the stop words of some texts of one domain: those of their language, or the words that many of them hold.

    Args:
        texts: the texts; what language they are in need not be known.
    """
    language = language_of(texts)
    if language is not None:
        return _listed(language)
    if len(texts) < FEWEST_TEXTS:
        return frozenset()
    held_by = Counter(word for text in texts for word in set(words(text)))
    return frozenset(word for word, count in held_by.items() if count > TOO_COMMON * len(texts))


def language_of(texts: Sequence[str]) -> str | None:
    """Tell the language of some texts by the stop words they hold.

    Returns:
        Its ISO 639-1 code, or None where the stop words of no language are a quarter of the words.
    """
    import stopwordsiso

    step = -(-len(texts) // TEXTS) or 1
    counts = Counter(word for text in texts[::step] for word in words(text) if len(word) > 1 or not word.isascii())
    total = sum(counts.values())
    shares = {
        code: sum(counts[word] for word in stopwordsiso.stopwords(code)) / max(total, 1)
        for code in sorted(stopwordsiso.langs())
    }
    best = max(shares, key=lambda code: shares[code])
    return best if shares[best] >= LEAST_SHARE else None


@functools.cache
def _listed(language: str) -> frozenset[str]:
    """List the stop words of a language; of English a shorter list, as the other holds ``system`` and ``research``."""
    if language == ENGLISH:
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        return frozenset(ENGLISH_STOP_WORDS)
    import stopwordsiso

    return frozenset(stopwordsiso.stopwords(language))
