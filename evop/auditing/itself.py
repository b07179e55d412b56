"""Checkpoints under audit: each is measured as itself, by its own weights, one model in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import evop.hf  # noqa: F401  heterogeneous checkpoints load without code of their own
from calibration import Passage
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.files.names import CONFIG, PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.families import HETERO_PREFIX, family_of
from evop.model.held import HeldModel
from evop.model.loaded import load_tokenizer, wider
from evop.removal.cut import Cut
from evop.removal.opened import OpenedPattern, open_pattern, unknown_pattern
from evop.removal.ranking import Ranking
from evop.tokens.passages import TokenPassages, tokenize


def is_checkpoint(path: Path) -> bool:
    """Tell whether a path that was given as a pattern is a checkpoint, which is measured as itself."""
    return (path / CONFIG).is_file()


def open_checkpoint(path: Path, dense: Checkpoint) -> tuple[Checkpoint, OpenedPattern]:
    """Open a checkpoint with the pattern that it was pruned by.

    That of another tool says nothing of it. Then its weights do, where what is left of the dense model is as it was;
    else it is not known.

    Args:
        path: its folder.
        dense: the model that it was pruned from.

    Raises:
        EvopError: it is the dense model, or its vocabulary is another; or it says that it was pruned from another
            model, or what does not fit.
    """
    own = Checkpoint.find(path)
    sizes = int(own.resolved.vocab_size), int(dense.resolved.vocab_size)
    if sizes[0] != sizes[1]:
        raise EvopError(
            f"--pattern {path} has a vocabulary of {sizes[0]:,} tokens, --model {dense.name} one of {sizes[1]:,}: "
            "their losses per token cannot be compared; give a checkpoint with the dense model's"
        )
    return own, _by_file(path, own, dense) if (path / PATTERN).is_file() else _by_weights(path, own, dense)


def _by_file(path: Path, own: Checkpoint, dense: Checkpoint) -> OpenedPattern:
    """Open the pattern that lies in a checkpoint, and hold both against each other."""
    try:
        opened = open_pattern(path, dense)
    except EvopError as error:
        raise EvopError(f"--pattern {path}: {error}") from error
    if own.model_type.removeprefix(HETERO_PREFIX) != dense.model_type:
        raise EvopError(
            f"--pattern {path} is of architecture {own.model_type}, and --model {dense.name} is {dense.model_type}; "
            "give a checkpoint of that model"
        )
    lacks, says = dense.parameters - own.parameters, opened.file.removed_params
    if lacks != says:
        raise EvopError(
            f"--pattern {path} holds {lacks:,} parameters less than --model {dense.name}, but its {PATTERN} says it "
            f"removes {says:,}: another pattern's file lies in it; copy the whole checkpoint again"
        )
    return opened


def _by_weights(path: Path, own: Checkpoint, dense: Checkpoint) -> OpenedPattern:
    """Find the pattern of a checkpoint that another tool made by its weights, as far as they say it."""
    model_type = own.model_type.removeprefix(HETERO_PREFIX)
    family_of(model_type)  # of an architecture that evop cannot run, say that
    if own.fingerprint == dense.fingerprint:
        raise EvopError(
            f"--pattern {path} is --model itself, of which nothing left; give a pattern, or a smaller model"
        )
    if model_type == dense.model_type:
        with suppress(EvopError):  # trained since, or never pruned: what left is not known
            return open_pattern(path, dense)
    if model_type != own.model_type:
        raise EvopError(f"--pattern {path} was pruned by evop, but its {PATTERN} is missing; copy that too")
    return unknown_pattern(path, dense)


def held(own: Checkpoint, dense: HeldModel) -> HeldModel:
    """Hold a checkpoint, to be run as the dense model is."""
    hetero = own.model_type.startswith(HETERO_PREFIX)
    family = family_of(own.model_type.removeprefix(HETERO_PREFIX))
    return dense.instead(own, dense.trust_remote_code and not hetero, family)


def refuse_other_tokens(
    model: HeldModel, dense: HeldModel, tokenizer: Any, passages: Sequence[Passage], max_tokens: int
) -> None:
    """Check that a checkpoint's own tokenizer reads passages as the dense model's does.

    Args:
        model: the checkpoint.
        dense: the dense model.
        tokenizer: the dense model's tokenizer.
        passages: the passages.
        max_tokens: tokens per passage at most.

    Raises:
        EvopError: it has no tokenizer, one of another vocabulary, or one that reads them otherwise.
    """
    own, other = model.checkpoint, dense.checkpoint
    mine = load_tokenizer(own, model.trust_remote_code)
    sizes = [len(mine.get_vocab()), len(tokenizer.get_vocab())]
    if mine.get_vocab() != tokenizer.get_vocab():
        raise EvopError(
            f"--pattern {own.name} has another vocabulary ({sizes[0]:,} tokens) than --model {other.name} "
            f"({sizes[1]:,}), so their losses per token cannot be compared; give a checkpoint with the same tokenizer"
        )
    readings = [tokenize(passages, each, max_tokens).fingerprint for each in (mine, tokenizer)]
    if readings[0] != readings[1]:
        raise EvopError(
            f"--pattern {own.name} has a tokenizer that reads the audited passages otherwise than that of --model "
            f"{other.name}; copy the dense model's tokenizer and chat template into it"
        )


def own_losses(
    model: HeldModel,
    opened: OpenedPattern,
    texts: Mapping[str, TokenPassages],
    max_tokens: int,
    batch_size: int | None,
    report: Callable[[str], None],
) -> dict[str, np.ndarray]:
    """Measure a checkpoint as itself; it is loaded for this, and let go afterwards.

    Args:
        model: the checkpoint.
        opened: the pattern that it was pruned by.
        texts: split -> its passages.
        max_tokens: tokens per passage at most.
        batch_size: passages per batch; None to try out how many fit.
        report: is given one line per split.

    Returns:
        Split -> the summed loss of every line of its passages in nats, float64 [lines].

    Raises:
        EvopError: a loss that is no number, or weights that cannot be loaded.
    """
    losses: dict[str, np.ndarray] = {}
    try:
        for split, passages in texts.items():
            report(f"{split}: the checkpoint {model.checkpoint.name} itself")
            evaluator = Evaluator(model.loaded, opened.space, Ranking(), max_tokens, batch_size, cache_mb=0)
            losses[split] = evaluator.line_losses([Cut()], passages)[0]
            refuse_no_number(losses[split], f"{split} under {model.checkpoint.name}", model.loaded.dtype)
            del evaluator
    finally:
        model.let_go()
    return losses


def refuse_no_number(lines: np.ndarray, where: str, dtype: str) -> None:
    """Check that losses are numbers.

    Raises:
        EvopError: one of them is not.
    """
    if not np.isfinite(lines).all():
        raise EvopError(f"losses on {where} are not finite at --dtype {dtype}; {wider(dtype)}")
