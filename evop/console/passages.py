"""The text of a calibration set, as a model is given it."""

from __future__ import annotations

import json
from typing import Any

from calibration import CalibrationSet
from calibration.passage import JOINED_BY, SPLITS, Passage
from evop.console.plain import PlainConsole
from evop.tokens.items import tokenize_item
from evop.tokens.passages import ids_of

LONGEST_ITEM = 1 << 20
"""Tokens of a question and a choice at most; here none is to be cut."""


def print_text(console: PlainConsole, calibration: CalibrationSet, tokenizer: Any | None = None) -> None:
    """Print the first passage of every group, of ``search`` where it has some there.

    Args:
        console: the console.
        calibration: the set.
        tokenizer: that of a model: what is printed is what its tokens say, special ones and a chat's template
            included; None for the passages as the set keeps them, a chat as its messages, one a line.

    Raises:
        EvopError: the tokenizer fails on a passage, or the model has no embeddings for what it makes of it.
    """
    first: dict[str, Passage] = {}
    for split in SPLITS:
        for passage in calibration.split(split):
            first.setdefault(passage.group, passage)
    for group in (group for group in calibration.groups if group.key in first):
        passage = first[group.key]
        texts, tokens = _as_kept(passage), ""
        if tokenizer is not None:
            rows = _rows(passage, tokenizer)
            texts = [tokenizer.decode(row, clean_up_tokenization_spaces=False) for row in rows]
            tokens = f", {' and '.join(f'{len(row):,}' for row in rows)} tokens"
        _say(console, f"--- {calibration.labels[group.key]}: {passage.document}{tokens}")
        for number, text in enumerate(texts):
            right = passage.choices is not None and number == passage.gold
            _say(console, f"{'right: ' if right else 'wrong: ' if passage.choices is not None else ''}{text}")


def _as_kept(passage: Passage) -> list[str]:
    """Write a passage as the set keeps it; of an item, the question with every choice."""
    if passage.choices is not None:
        return [f"{passage.text}{JOINED_BY}{choice}" for choice in passage.choices]
    if passage.messages is None:
        return [passage.text or ""]
    rows = [*([{"tools": passage.tools}] if passage.tools else []), *passage.messages]
    return ["\n".join(json.dumps(row, ensure_ascii=False) for row in rows)]


def _rows(passage: Passage, tokenizer: Any) -> list[list[int]]:
    """List the token ids that a model is given for a passage: one row, or one for every choice."""
    if passage.choices is None:
        return [ids_of(passage, tokenizer)]
    item, _ = tokenize_item(passage, tokenizer, LONGEST_ITEM, 1)
    return [[*item.query, *choice] for choice in item.choices]


def _say(console: PlainConsole, text: str) -> None:
    """Print text as it is; characters that steer a terminal, or turn the order of others, are spelt out."""
    console.print(text, highlight=False, soft_wrap=True)
