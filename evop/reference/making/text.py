"""How the text for the embedded model was read: documents, a tokenizer of them, the stream of token ids."""

import lzma
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

__all__ = ["END_OF_TEXT", "ReferenceTextError", "encode", "read_documents", "take", "train_tokenizer"]

END_OF_TEXT = "<|endoftext|>"
"""Between two documents, in the text files as a line of its own and in the token stream as token 0."""


class ReferenceTextError(ValueError):
    """A text file that cannot be read, or is too short."""


def read_documents(path: Path) -> list[str]:
    """Read the documents of a .txt or .txt.xz file, split at `<|endoftext|>` lines, or of a Parquet `text` column.

    Raises:
        ReferenceTextError: No such file, not of these kinds, not UTF-8, or no documents in it.
    """
    if not path.is_file():
        raise ReferenceTextError(f"{path}: no such file; expected a .txt, .txt.xz or .parquet file; check the path")
    try:
        if path.name.endswith(".parquet"):
            documents = [str(text) for text in pq.read_table(path, columns=["text"])["text"].to_pylist()]
        elif path.name.endswith(".xz"):
            documents = _split(lzma.decompress(path.read_bytes()).decode("utf-8"))
        else:
            documents = _split(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, lzma.LZMAError, OSError, ValueError) as error:
        raise ReferenceTextError(
            f"{path}: {error}; expected UTF-8 text, xz-compressed or not, or Parquet with a column 'text'"
        ) from error
    if not documents:
        raise ReferenceTextError(f"{path}: no documents; expected text between '{END_OF_TEXT}' lines")
    return documents


def _split(text: str) -> list[str]:
    documents = (part.strip("\n") for part in f"\n{text}\n".split(f"\n{END_OF_TEXT}\n"))
    return [document for document in documents if document.strip()]


def take(documents: Iterable[str], chars: int | None) -> list[str]:
    """Return the documents that begin within the first `chars` characters; all of them for None."""
    taken: list[str] = []
    seen = 0
    for document in documents:
        if chars is not None and seen >= chars:
            break
        taken.append(document)
        seen += len(document)
    return taken


def train_tokenizer(domains: Sequence[Sequence[str]], vocabulary: int, chars_each: int = 2_000_000) -> Tokenizer:
    """Train a byte-level BPE tokenizer on equal parts of every domain.

    Args:
        domains: Documents of each domain.
        vocabulary: Number of tokens, the 256 bytes and `<|endoftext|>` (token 0) among them.
        chars_each: Characters of each domain to learn from.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for texts in domains for text in take(texts, chars_each)), trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, documents: Iterable[str], group: int = 512) -> NDArray[np.uint16]:
    """Encode documents to one stream, `<|endoftext|>` before each.

    Returns:
        Token ids, shape (tokens,).
    """
    start = tokenizer.token_to_id(END_OF_TEXT)
    waiting = iter(documents)
    parts: list[NDArray[np.uint16]] = []
    while texts := list(islice(waiting, group)):
        for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
            parts.append(np.array([start, *encoding.ids], dtype=np.uint16))
    return np.concatenate(parts) if parts else np.empty(0, np.uint16)
