"""Passages and items as a model reads them: token ids, truncated at a length, in one fixed order."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from calibration.passage import Passage
from evop.errors import EvopError
from evop.tokens.chats import chat_ids
from evop.tokens.ids import known_ids, text_ids
from evop.tokens.items import TokenItem, tokenize_item


@dataclass(frozen=True)
class TokenPassages:
    """Token ids of some passages, or items.

    Attributes:
        ids: token ids of each passage, two at least; of an item, all that the model reads of it.
        groups: the group key of each passage, such as ``law/3``.
        documents: the document of each passage.
        shortened: whether each passage was longer than the limit and lost its end; of an item, its beginning.
        items: query and choices of each item; None for a passage of text. Empty where there is no item.
    """

    ids: tuple[tuple[int, ...], ...]
    groups: tuple[str, ...]
    documents: tuple[str, ...]
    shortened: tuple[bool, ...]
    items: tuple[TokenItem | None, ...] = ()

    @property
    def truncated(self) -> int:
        """Number of passages that lost their ends."""
        return sum(self.shortened)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of ids, groups and items: two that agree are scored on the same tokens."""
        items = [None if item is None else (item.query, item.choices, item.gold) for item in self.items]
        content = (self.ids, self.groups, items) if any(items) else (self.ids, self.groups)
        return hashlib.sha256(repr(content).encode()).hexdigest()

    def item(self, i: int) -> TokenItem | None:
        """Return query and choices of a passage that is an item, or None where it is text."""
        return self.items[i] if self.items else None

    @cached_property
    def scored(self) -> np.ndarray:
        """Tokens that each passage costs, int64 [passages]: of a text all but the first, of an item all."""
        counted = [len(ids) - (self.item(i) is None) for i, ids in enumerate(self.ids)]
        return np.array(counted, dtype=np.int64)

    @cached_property
    def counts(self) -> np.ndarray:
        """What a mean loss is taken over, int64 [passages]: the scored tokens of a text, 1 for an item."""
        counted = [len(ids) - 1 if self.item(i) is None else 1 for i, ids in enumerate(self.ids)]
        return np.array(counted, dtype=np.int64)

    @cached_property
    def lines(self) -> np.ndarray:
        """Where the lines of each passage begin, int64 [passages + 1]: one line per text, one per choice of an item."""
        sizes = [1 if item is None else len(item.choices) for item in (self.item(i) for i in range(len(self.ids)))]
        return np.cumsum([0, *sizes])

    @property
    def total(self) -> int:
        """Tokens that all passages cost together."""
        return int(self.scored.sum())

    @cached_property
    def tokens_by_group(self) -> dict[str, int]:
        """Tokens that each group costs, groups in order of first appearance."""
        return self._by_group(self.scored)

    @cached_property
    def counts_by_group(self) -> dict[str, int]:
        """What each group's mean loss is taken over: scored tokens of text, or items."""
        return self._by_group(self.counts)

    def _by_group(self, values: np.ndarray) -> dict[str, int]:
        sums = dict.fromkeys(self.groups, 0)
        for group, value in zip(self.groups, values, strict=True):
            sums[group] += int(value)
        return sums

    def only(self, groups: Iterable[str]) -> TokenPassages:
        """Keep only the passages of some groups."""
        wanted = set(groups)
        return self.take([i for i, group in enumerate(self.groups) if group in wanted])

    def key(self, indices: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """Make a key that tells a batch of passages from all others, as a model reads them."""
        keys = []
        for i in indices:
            item = self.item(i)
            parts = () if item is None else (-1, len(item.query), *map(len, item.choices))
            keys.append((*self.ids[i], *parts))
        return tuple(keys)

    def take(self, indices: Sequence[int]) -> TokenPassages:
        """Take some passages, in the order of the indices."""
        return TokenPassages(
            tuple(self.ids[i] for i in indices),
            tuple(self.groups[i] for i in indices),
            tuple(self.documents[i] for i in indices),
            tuple(self.shortened[i] for i in indices),
            tuple(self.items[i] for i in indices) if self.items else (),
        )

    def as_text(self) -> TokenPassages:
        """Turn items into text, the query and the right choice; passages of text stay as they are."""
        texts = [ids if (item := self.item(i)) is None else item.gold_ids for i, ids in enumerate(self.ids)]
        return TokenPassages(tuple(texts), self.groups, self.documents, self.shortened)


def tokenize(passages: Iterable[Passage], tokenizer: Any, max_tokens: int) -> TokenPassages:
    """Turn passages into token ids, each started the way the tokenizer starts a sequence.

    Chats are rendered with the model's own template. Items are read as ``TokenItem`` says.

    Raises:
        EvopError: a chat passage and no chat template, or passages that leave nothing to score.
    """
    rows: list[tuple[tuple[int, ...], str, str, bool, TokenItem | None]] = []
    passages = list(passages)
    sizes = Counter(passage.group for passage in passages)
    for passage in passages:
        if passage.choices is not None:
            item, shortened = tokenize_item(passage, tokenizer, max_tokens, sizes[passage.group])
            rows.append((item.ids, passage.group, passage.document, shortened, item))
            continue
        ids = ids_of(passage, tokenizer)
        if len(ids) >= 2:  # a single token leaves nothing to score
            rows.append((tuple(ids[:max_tokens]), passage.group, passage.document, len(ids) > max_tokens, None))
    if not rows and passages:
        raise EvopError("none of the passages has two tokens or more; give longer text")
    if not rows:
        return TokenPassages((), (), (), ())
    columns = list(zip(*rows, strict=True))
    return TokenPassages(*columns) if any(columns[-1]) else TokenPassages(*columns[:-1])


def ids_of(passage: Passage, tokenizer: Any) -> list[int]:
    """Tokenize one passage of text or one chat, however long.

    Raises:
        EvopError: a chat, and no chat template or one that refuses it; or a token that the model does not have.
    """
    if passage.messages is not None:
        return chat_ids(passage, passage.messages, tokenizer)
    return known_ids(passage, tokenizer, text_ids(passage, passage.text or "", tokenizer))


def asked_ids(passage: Passage, tokenizer: Any) -> list[int]:
    """Tokenize what a chat asks: all before its last answer, and the template's invitation to answer.

    Returns:
        Token ids; none where the chat has no answer, or opens with it.

    Raises:
        EvopError: no chat template, or one that refuses the chat.
    """
    messages = passage.messages or ()
    answers = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    if not answers or not answers[-1]:
        return []
    return chat_ids(passage, messages[: answers[-1]], tokenizer, add_generation_prompt=True)
