"""Text that the dense model makes itself: of nothing, or going on from passages."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calibration.passage import Passage
from evop.errors import EvopError
from evop.model.loaded import LoadedModel
from evop.recovery.drawing import ROWS, Beginning, Drawn, Report, draw
from evop.recovery.sample_file import kept_or_drawn
from evop.tokens.items import first_token
from evop.tokens.passages import TokenPassages, asked_ids, ids_of

ANCHOR = "anchor"
"""The group of text that is of no named domain."""
SHORTEST = 16
"""Tokens of an unprompted sample at least; another is drawn for one that ends before."""
SPARE = 1.1
"""Samples that are drawn at once, to those that seem to be missing: another round takes longer than some to spare."""
GIVE_UP = (4 * ROWS, 16)
"""After so many draws, one in so many must be long enough."""
PROMPT = 4
"""The first of so many parts of a passage is what the model goes on from."""


def unprompted(
    loaded: LoadedModel,
    *,
    tokens: int,
    length: int,
    seed: int,
    folder: Path,
    report: Report = lambda done, most: None,
) -> TokenPassages:
    """Let the dense model write of nothing; or read what it wrote before.

    A sample begins with the token that begins a sequence: the tokenizer's; of a tokenizer without one, that which the
    model's config names; else the token that ends a text, after which such models learnt to begin another. It is the
    first token of the sample, also where the tokenizer puts none before a text. How tokens are drawn, ``draw`` says. A
    token that ends a text ends the sample, and is its last. For a sample of fewer than 16 tokens another is drawn.

    Args:
        loaded: the dense model.
        tokens: scored tokens of all samples together at least; samples are drawn until they have so many.
        length: tokens per sample at most, two at least.
        seed: decides what is drawn. With more tokens asked for, the same samples, but for rounding, and more of them.
        folder: where they are kept.
        report: is told how many tokens there are, and how many there may be at most.

    Returns:
        The samples, in the group ``anchor``, each a document of its own; ``shortened`` are those that were cut off.

    Raises:
        EvopError: a model that ends what it has hardly begun or whose logits are not finite, no token to begin with,
            or a damaged file of samples.
    """
    length = max(2, length)
    asked = {"kind": "unprompted", "seed": seed, "tokens": tokens, "length": length}
    drawn = kept_or_drawn(folder, loaded, asked, lambda: _unprompted(loaded, tokens, length, seed, report))
    return _passages(drawn, [ANCHOR] * len(drawn), [f"sample#{i}" for i in range(len(drawn))])


def continuations(
    loaded: LoadedModel,
    passages: Sequence[Passage],
    *,
    max_tokens: int,
    seed: int,
    folder: Path,
    report: Report = lambda done, most: None,
) -> TokenPassages:
    """Let the dense model go on from passages, each to its own length; or read what it wrote before.

    Of a text, the model is given the first quarter of the tokens. Of a chat, all messages before the last answer, as
    its template asks for one; but where that leaves no room, or there is no answer, the first quarter again. A token
    that ends a text ends the continuation, and is its last. How tokens are drawn, ``draw`` says.

    Args:
        loaded: the dense model.
        passages: texts and chats; one of a single token is left out.
        max_tokens: tokens per passage at most.
        seed: decides what is drawn; with the id of a passage, so that it does not depend on the others but by rounding.
        folder: where they are kept.
        report: is told how many tokens there are, and how many there may be at most.

    Returns:
        What was given and what the model made of it, with group and document of each passage; ``shortened`` are those
        that were cut off.

    Raises:
        EvopError: a chat and no chat template, nothing to go on from, a model that only ends texts or whose logits are
            not finite, or a damaged file of samples.
    """
    every = [(passage, _beginning(passage, loaded.tokenizer, max_tokens, seed)) for passage in passages]
    some = [(passage, beginning) for passage, beginning in every if beginning is not None]
    if not some:
        raise EvopError("none of the passages to go on from has two tokens or more; give longer text")
    beginnings = [beginning for _, beginning in some]
    prompts = hashlib.sha256(repr(beginnings).encode()).hexdigest()
    asked = {"kind": "continuations", "seed": seed, "prompts": prompts}
    drawn = kept_or_drawn(folder, loaded, asked, lambda: _continued(loaded, beginnings, report))
    return _passages(drawn, [passage.group for passage, _ in some], [passage.document for passage, _ in some])


def _unprompted(loaded: LoadedModel, tokens: int, length: int, seed: int, report: Report) -> list[Drawn]:
    """Draw samples, round by round, until there are enough."""
    start, shortest = _start(loaded), min(SHORTEST, length)
    kept: list[Drawn] = []
    tried, have = 0, 0
    while have < tokens:
        mean = have / len(kept) if kept else length - 1
        numbers = range(tried, tried + min(ROWS, math.ceil(SPARE * (tokens - have) / mean)))
        beginnings = [Beginning((start,), length, _seed(seed, "unprompted", number)) for number in numbers]
        drawn = draw(loaded, beginnings, _counted_on(report, have, tokens))
        tried += len(drawn)
        kept += [sample for sample in drawn if len(sample.ids) >= shortest]
        have = sum(len(sample.ids) - 1 for sample in kept)
        if tried >= GIVE_UP[0] and GIVE_UP[1] * len(kept) < tried:
            raise EvopError(
                f"{loaded.checkpoint.name} ends what it has hardly begun: {len(kept)} of {tried} unprompted samples "
                f"have {shortest} tokens or more; give text of your own with --anchor-text"
            )
    return _first(kept, tokens)


def _counted_on(report: Report, before: int, tokens: int) -> Report:
    """Report a round of samples: its tokens come to those before, and what is too much is not counted."""
    return lambda done, most: report(min(before + done, tokens), tokens)


def _first(samples: Sequence[Drawn], tokens: int) -> list[Drawn]:
    """Take the first samples that are enough."""
    taken: list[Drawn] = []
    have = 0
    for sample in samples:
        if have >= tokens:
            break
        taken.append(sample)
        have += len(sample.ids) - 1
    return taken


def _start(loaded: LoadedModel) -> int:
    """Find the token that an unprompted sample begins with."""
    named = loaded.checkpoint.config.get("bos_token_id")
    if loaded.tokenizer.bos_token_id is None and isinstance(named, int):
        return named
    return first_token(loaded.tokenizer)


def _beginning(passage: Passage, tokenizer: Any, max_tokens: int, seed: int) -> Beginning | None:
    """Say what the model is given of a passage; None of one that is too short."""
    ids = ids_of(passage, tokenizer)[:max_tokens]
    if len(ids) < 2:
        return None
    prompt = asked_ids(passage, tokenizer)
    if not 0 < len(prompt) < len(ids):
        prompt = ids[: max(1, len(ids) // PROMPT)]
    return Beginning(tuple(prompt), len(ids), _seed(seed, "continuation", passage.id))


def _continued(loaded: LoadedModel, beginnings: Sequence[Beginning], report: Report) -> list[Drawn]:
    """Draw continuations; refuse a model that has nothing to say."""
    drawn = draw(loaded, beginnings, report)
    if all(new.ended and len(new.ids) == len(old.ids) + 1 for new, old in zip(drawn, beginnings, strict=True)):
        raise EvopError(
            f"{loaded.checkpoint.name} only ends the {len(drawn)} passages that it is to go on from; is it a language "
            "model? Learn from the passages themselves, without --self-generated"
        )
    return drawn


def _seed(*words: object) -> int:
    """Make a seed of words: the same words, the same seed."""
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:7])


def _passages(drawn: Sequence[Drawn], groups: Sequence[str], documents: Sequence[str]) -> TokenPassages:
    """Make passages of sequences."""
    shortened = tuple(not sequence.ended for sequence in drawn)
    return TokenPassages(tuple(sequence.ids for sequence in drawn), tuple(groups), tuple(documents), shortened)
