"""A general corpus that a person gives, as passages of two parts that share no document."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from calibration.errors import CalibrationError
from calibration.passage import Passage
from calibration.reading.domains import passages_of
from calibration.reading.duplicates import near_duplicates
from calibration.reading.shared_text import shared_text
from calibration.reading.shingles import shingle_sets
from calibration.reading.sources import Source, open_source
from evop.errors import EvopError

MOST = 5_000
"""Passages that are read of a corpus at most, in its order."""
CHARACTERS = 4
"""Characters per token, as everywhere where no tokenizer is at hand."""
PARTS = 4
"""One document in so many is held out."""


def anchor_source(spec: str) -> Source:
    """Open a general corpus: a file, ``file:column``, or a hub dataset, as a domain of text is.

    Raises:
        EvopError: it cannot be read.
    """
    try:
        return open_source("anchor", spec, what="text")
    except CalibrationError as error:
        raise EvopError(f"--anchor-text: {error}") from error


def anchor_parts(
    source: Source, *, max_tokens: int, seed: int, apart_from: Sequence[Passage]
) -> tuple[list[Passage], list[Passage]]:
    """Split a corpus into passages to learn from and passages held out.

    Passages are dropped that nearly repeat another or one of ``apart_from``; and so are documents of which a passage
    shares a fifth of its text with those. Documents that share so much with each other count as one, as in a
    calibration set. One document in four is held out.

    Args:
        source: the corpus; its first 5,000 passages are read.
        max_tokens: tokens per passage, about: a long document is split into pieces of four characters per token.
        seed: decides which documents are held out, and the order.
        apart_from: passages whose text must not be learned from, such as those that an audit measures.

    Returns:
        Those to learn from and those held out. In each, the first passage of every document, then the second of those
        that have one, and so on.

    Raises:
        EvopError: the corpus cannot be read, or fewer than two documents are left of it.
    """
    try:
        read = list(islice(_pieces(source, CHARACTERS * max_tokens), MOST))
    except CalibrationError as error:
        raise EvopError(f"--anchor-text: {error}") from error
    by_document: defaultdict[str, list[Passage]] = defaultdict(list)
    for passage in _apart(read, apart_from):
        by_document[passage.document].append(passage)
    if len(by_document) < 2:
        raise EvopError(
            f"--anchor-text {source.spec}: {len(by_document)} document(s) left of {len(read)} passages, expected two: "
            "one to learn from, one to choose by; give more (in a .txt file, lines <|endoftext|> separate documents)"
        )
    documents = sorted(by_document, key=lambda name: _random(seed, name))
    held_out = documents[::PARTS]
    learnt = [name for name in documents if name not in set(held_out)]
    train, held = (_in_turns([by_document[name] for name in names], seed) for names in (learnt, held_out))
    return train, held


def _pieces(source: Source, size: int) -> Iterator[Passage]:
    """Read the passages of a corpus, of ``size`` characters about."""
    for document in source.documents():
        yield from passages_of(document, source.domain, size)


def _apart(passages: Sequence[Passage], apart_from: Sequence[Passage]) -> list[Passage]:
    """Drop what repeats another passage or says what it must not; documents that share text get one name."""
    every = [*apart_from, *passages]
    # The same file may be given twice: what it holds is one document's in the set and another's here.
    names = [f"{'apart' if i < len(apart_from) else 'anchor'} {passage.document}" for i, passage in enumerate(every)]
    sets = shingle_sets([passage.plain for passage in every])
    repeated = set(near_duplicates(sets)) - set(range(len(apart_from)))
    left = [i for i in range(len(every)) if i not in repeated]
    domains = [every[i].domain if i < len(apart_from) else "" for i in left]
    joined = shared_text([sets[i] for i in left], [names[i] for i in left], domains).joined
    head = [joined.get(name, name) for name in names]
    taken = {head[i] for i in range(len(apart_from))}
    return [replace(every[i], document=head[i]) for i in left if i >= len(apart_from) and head[i] not in taken]


def _in_turns(documents: Sequence[Sequence[Passage]], seed: int) -> list[Passage]:
    """Order the passages of documents: one of each, then another of each, and so on."""
    mixed = [sorted(passages, key=lambda passage: _random(seed, passage.id)) for passages in documents]
    turns = max(map(len, mixed), default=0)
    return [passages[turn] for turn in range(turns) for passages in mixed if turn < len(passages)]


def _random(*words: object) -> bytes:
    """Make a random key of words."""
    return hashlib.sha256(repr(words).encode()).digest()
