"""The anchor: text of no named domain to learn from, so that what nobody named is not lost in silence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.passage import Passage
from evop.errors import EvopError
from evop.model.loaded import LoadedModel
from evop.recovery.anchor_text import anchor_parts, anchor_source
from evop.recovery.drawing import Report
from evop.recovery.samples import ANCHOR, unprompted
from evop.tokens.passages import TokenPassages, tokenize

HELD_OUT = 4
"""One token in so many is held out, at least."""
FEWEST = 2
"""Passages that are held out at least."""


@dataclass(frozen=True)
class Anchor:
    """Text of no named domain, in two parts that share no document; its group is ``anchor``.

    Attributes:
        train: passages to learn from.
        held_out: passages by which is chosen how, a quarter of all tokens and two passages at least.
        source: where the text comes from, in words.
    """

    train: TokenPassages
    held_out: TokenPassages
    source: str


def anchor_of(
    loaded: LoadedModel,
    *,
    tokens: int,
    max_tokens: int,
    text: str | None,
    seed: int,
    folder: Path,
    apart_from: Sequence[Passage] = (),
    report: Report = lambda done, most: None,
) -> Anchor:
    """Make an anchor of unprompted samples of the dense model, or of a general corpus.

    Args:
        loaded: the dense model.
        tokens: scored tokens to learn from; there are as many, and one passage more at most. What is held out comes
            on top.
        max_tokens: tokens per passage at most.
        text: a file, ``file:column``, or a hub dataset; None for the model's own samples.
        seed: decides what is drawn, and what is held out.
        folder: where the model's samples are kept.
        apart_from: passages of which a corpus must say nothing: those that are selected by and reported on.
        report: is told how many tokens were drawn, and how many there may be.

    Raises:
        EvopError: samples that cannot be drawn, a corpus that cannot be read, or one that has too little text.
    """
    if text is None:
        return _of_samples(loaded, tokens, max_tokens, seed, folder, report)
    source = anchor_source(text)
    parts = anchor_parts(source, max_tokens=max_tokens, seed=seed, apart_from=apart_from)
    train, held_out = (_anchored(tokenize(part, loaded.tokenizer, max_tokens)) for part in parts)
    taken = train.take(_first(train, tokens, 1))
    wanted = math.ceil(taken.total / (HELD_OUT - 1))
    kept = held_out.take(_first(held_out, wanted, FEWEST))
    if taken.total < tokens or kept.total < wanted or len(kept.ids) < FEWEST:
        raise EvopError(
            f"--anchor-text {text}: {train.total} tokens to learn from and {held_out.total} of {len(held_out.ids)} "
            f"passages to choose by, expected {tokens} and {wanted} of {FEWEST}; give more text, or a smaller --anchor"
        )
    return Anchor(taken, kept, source.origin.name)


def _of_samples(loaded: LoadedModel, tokens: int, max_tokens: int, seed: int, folder: Path, report: Report) -> Anchor:
    """Make an anchor of unprompted samples; each stands alone, so any of them may be held out."""
    # The last that is held out may be a whole one too many; and where there are few, two are.
    enough = max(math.ceil((tokens + max_tokens) * HELD_OUT / (HELD_OUT - 1)), tokens + FEWEST * max_tokens)
    samples = unprompted(loaded, tokens=enough, length=max_tokens, seed=seed, folder=folder, report=report)
    held = _held_out(samples)
    train = samples.take([i for i in range(len(samples.ids)) if i not in held])
    source = f"unprompted samples of {loaded.checkpoint.name} (temperature 1, seed {seed})"
    return Anchor(train.take(_first(train, tokens, 1)), samples.take(sorted(held)), source)


def _held_out(samples: TokenPassages) -> set[int]:
    """Choose the samples to hold out: after each, a quarter of the tokens so far is held out, and little more."""
    held: set[int] = set()
    total = of_held = 0
    for i, size in enumerate(samples.scored.tolist()):
        total += size
        if HELD_OUT * of_held < total or (len(held) < FEWEST and i == FEWEST):
            held.add(i)
            of_held += size
    return held


def _first(passages: TokenPassages, tokens: int, least: int) -> range:
    """Number the first passages that have enough tokens together, ``least`` of them at least."""
    total = number = 0
    for size in passages.scored.tolist():
        if total >= tokens and number >= least:
            break
        total, number = total + size, number + 1
    return range(number)


def _anchored(passages: TokenPassages) -> TokenPassages:
    """Put passages into the group of the anchor."""
    return replace(passages, groups=(ANCHOR,) * len(passages.ids))
