"""Passages as a model reads them: token ids, cut at a length, in one fixed order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from calibration.passage import Passage
from evop.errors import EvopError


@dataclass(frozen=True)
class TokenPassages:
    """Token ids of some passages.

    Attributes:
        ids: token ids of each passage; every one has at least two.
        groups: the group key of each passage, such as ``law/3``.
        documents: the document of each passage.
        cut: how many passages were longer than the limit and lost their ends.
        dropped: how many had fewer than two tokens and were left out.
    """

    ids: tuple[tuple[int, ...], ...]
    groups: tuple[str, ...]
    documents: tuple[str, ...]
    cut: int
    dropped: int

    @cached_property
    def scored(self) -> np.ndarray:
        """Scored tokens of each passage, int64 [passages]: all but the first."""
        return np.array([len(ids) - 1 for ids in self.ids], dtype=np.int64)

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
            self.cut,
            self.dropped,
        )


def tokenize(passages: Iterable[Passage], tokenizer: Any, max_tokens: int) -> TokenPassages:
    """Turn passages into token ids, each started the way the tokenizer starts a sequence.

    Chats are rendered with the model's own template.

    Raises:
        EvopError: a chat passage and no chat template, or nothing left to score.
    """
    rows: list[tuple[tuple[int, ...], str, str]] = []
    cut = dropped = 0
    for passage in passages:
        ids = _ids(passage, tokenizer)
        cut += len(ids) > max_tokens
        dropped += len(ids) < 2
        if len(ids) >= 2:
            rows.append((tuple(ids[:max_tokens]), passage.group, passage.document))
    if not rows:
        raise EvopError(f"none of the passages has two tokens or more ({dropped} were dropped); give longer text")
    ids_, groups, documents = zip(*rows, strict=True)
    return TokenPassages(ids_, groups, documents, cut, dropped)


def _ids(passage: Passage, tokenizer: Any) -> list[int]:
    if passage.messages is None:
        return list(tokenizer(passage.text, verbose=False)["input_ids"])
    if not getattr(tokenizer, "chat_template", None):
        raise EvopError(
            f"domain {passage.domain} holds chats, but the model's tokenizer has no chat template; "
            "use an instruct model, or give the domain as plain text"
        )
    text = tokenizer.apply_chat_template([dict(message) for message in passage.messages], tokenize=False)
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
