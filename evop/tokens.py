"""Passages as a model reads them: token ids, cut at a length, in one fixed order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jinja2 import TemplateError

from calibration.passage import Passage
from evop.errors import EvopError


@dataclass(frozen=True)
class TokenPassages:
    """Token ids of some passages.

    Attributes:
        ids: token ids of each passage; every one has at least two.
        groups: the group key of each passage, such as ``law/3``.
        documents: the document of each passage.
        shortened: whether each passage was longer than the limit and lost its end.
    """

    ids: tuple[tuple[int, ...], ...]
    groups: tuple[str, ...]
    documents: tuple[str, ...]
    shortened: tuple[bool, ...]

    @property
    def cut(self) -> int:
        """How many passages lost their ends."""
        return sum(self.shortened)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of ids and groups: two that agree are scored on the same tokens."""
        return hashlib.sha256(repr((self.ids, self.groups)).encode()).hexdigest()

    @cached_property
    def scored(self) -> np.ndarray:
        """Scored tokens of each passage, int64 [passages]: all but the first."""
        return np.array([len(ids) - 1 for ids in self.ids], dtype=np.int64)

    @property
    def total(self) -> int:
        """Scored tokens of all passages."""
        return int(self.scored.sum())

    @cached_property
    def tokens_by_group(self) -> dict[str, int]:
        """Scored tokens of each group, groups in order of first appearance."""
        tokens = dict.fromkeys(self.groups, 0)
        for group, count in zip(self.groups, self.scored, strict=True):
            tokens[group] += int(count)
        return tokens

    def only(self, groups: Iterable[str]) -> TokenPassages:
        """Only the passages of some groups."""
        wanted = set(groups)
        return self.take([i for i, group in enumerate(self.groups) if group in wanted])

    def take(self, indices: Sequence[int]) -> TokenPassages:
        """Some passages, in the order given."""
        return TokenPassages(
            tuple(self.ids[i] for i in indices),
            tuple(self.groups[i] for i in indices),
            tuple(self.documents[i] for i in indices),
            tuple(self.shortened[i] for i in indices),
        )


def tokenize(passages: Iterable[Passage], tokenizer: Any, max_tokens: int) -> TokenPassages:
    """Turn passages into token ids, each started the way the tokenizer starts a sequence.

    Chats are rendered with the model's own template.

    Raises:
        EvopError: a chat passage and no chat template, or nothing left to score.
    """
    rows: list[tuple[tuple[int, ...], str, str, bool]] = []
    for passage in passages:
        ids = _ids(passage, tokenizer)
        if len(ids) >= 2:  # a single token leaves nothing to score
            rows.append((tuple(ids[:max_tokens]), passage.group, passage.document, len(ids) > max_tokens))
    if not rows:
        raise EvopError("none of the passages has two tokens or more; give longer text")
    return TokenPassages(*zip(*rows, strict=True))


def _ids(passage: Passage, tokenizer: Any) -> list[int]:
    if passage.messages is None:
        return list(tokenizer(passage.text, verbose=False)["input_ids"])
    if not getattr(tokenizer, "chat_template", None):
        raise EvopError(
            f"domain {passage.domain} holds chats, but the model's tokenizer has no chat template; "
            "use an instruct model, or give the domain as plain text"
        )
    try:
        text = tokenizer.apply_chat_template([dict(message) for message in passage.messages], tokenize=False)
    except TemplateError as error:
        raise EvopError(
            f"domain {passage.domain}: the model's chat template refuses a chat of {passage.document} ({error}); "
            "drop or rewrite such chats"
        ) from error
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
