"""Text as token ids, held against what the model has embeddings for."""

from __future__ import annotations

from typing import Any

from calibration.passage import Passage
from evop.errors import EvopError, first_line


def text_ids(passage: Passage, text: str, tokenizer: Any, **options: bool) -> list[int]:
    """Tokenize text that belongs to a passage.

    Raises:
        EvopError: the tokenizer fails on it.
    """
    try:
        return list(tokenizer(text, verbose=False, **options)["input_ids"])
    except Exception as error:  # tokenizers raises bare exceptions
        raise EvopError(
            f"domain {passage.domain}: the model's tokenizer fails on {passage.document} ({first_line(error)}); "
            "mend its tokenizer.json or tokenizer_config.json, or drop that document"
        ) from error


def known_ids(passage: Passage, tokenizer: Any, ids: list[int]) -> list[int]:
    """Pass on the token ids of a passage, all of which the model has embeddings for.

    Raises:
        EvopError: it has none for one of them, so that computing would fail, on a GPU without a word of why.
    """
    words = getattr(tokenizer, "embedded_words", None)
    highest = max(ids, default=0)
    if words is not None and highest >= words:
        raise EvopError(
            f"domain {passage.domain}: {passage.document} holds token {highest} "
            f"({tokenizer.convert_ids_to_tokens(highest)!r}), the model has embeddings for {words}, 0 to {words - 1}; "
            "take the tokenizer that belongs to the model, or resize its embeddings"
        )
    return ids
