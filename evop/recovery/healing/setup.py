"""What a healing needs before its first step, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from calibration import CalibrationSet
from evop.errors import EvopError
from evop.files.names import CONFIG, PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import SPREAD, LoadedModel, load_tokenizer
from evop.recipes.execution import Execution
from evop.recipes.heal import HealRecipe
from evop.recovery.heal_file import HealFile
from evop.recovery.healing.folder import HealingFolder
from evop.recovery.healing.lesson import Teacher
from evop.recovery.healing.looking import Watched, text_losses
from evop.recovery.healing.loop import Healing
from evop.recovery.healing.passages import HealingPassages
from evop.recovery.healing.student import Student
from evop.recovery.healing.target_cache import TargetCache
from evop.recovery.healing.text import HealingText
from evop.removal.opened import OpenedPattern
from evop.removal.zeros_file import ZerosFile
from evop.tokens.passages import TokenPassages

AT_ONCE = {"cpu": 512, "cuda": 4096, "mps": 2048}
"""Padded tokens that go through both models at once with ``--batch-size auto``; the logits of all are kept."""


def set_up(
    recipe: HealRecipe,
    dense: LoadedModel,
    pruned: Checkpoint,
    passages: HealingPassages,
    anchor: TokenPassages | None,
    folder: HealingFolder,
) -> Healing:
    """Load the pruned model, measure the dense one, and bring both to where the folder stands.

    Raises:
        EvopError: the pruned model reads other tokens, or cannot be loaded.
    """
    refuse_another_tokenizer(dense, pruned, recipe.trust_remote_code)
    positions = getattr(pruned.resolved, "max_position_embeddings", None)
    if positions and recipe.max_tokens > positions:
        raise EvopError(
            f"--max-tokens {recipe.max_tokens} is more than the {positions} positions of {pruned.name}; give at most "
            f"{positions}"
        )
    keep_zeros = recipe.zeros == "keep" and ZerosFile.beside(pruned.folder / PATTERN) is not None
    student = Student.load(
        pruned,
        recipe.train,
        recipe.rank,
        recipe.seed,
        dense.device,
        recipe.trust_remote_code,
        keep_zeros=keep_zeros,
    )
    at_once = recipe.batch_size * recipe.max_tokens if recipe.batch_size else AT_ONCE[dense.device.type]
    losses = text_losses(
        lambda ids: dense.model(input_ids=ids, use_cache=False).logits, passages.select, dense.device, at_once
    )
    text = HealingText(passages.train, anchor, recipe.seed)
    teacher = Teacher(dense, student, recipe, at_once, _cache(recipe, dense, text, folder))
    return Healing(recipe, teacher, text, Watched(passages.select, losses), folder)


def _cache(recipe: HealRecipe, dense: LoadedModel, text: HealingText, folder: HealingFolder) -> TargetCache | None:
    """Make the cache of what the dense model predicts, where one was asked for."""
    if recipe.teacher == "beside":
        return None
    model: Any = dense.model
    vocabulary = int(model.get_output_embeddings().weight.shape[0])
    words, limit = min(recipe.top_k, vocabulary), int(recipe.cache_gb * 1e9)
    return TargetCache(folder.targets, text.passages, words, words < vocabulary, limit, folder.room)


def identity_of(
    opened: OpenedPattern,
    given: Checkpoint | None,
    calibration: CalibrationSet,
    recipe: HealRecipe,
) -> dict[str, Any]:
    """List what makes a healing this healing and no other; how the model is run is not part of it, dtype is.

    Args:
        opened: the pattern, on the dense model.
        given: the checkpoint that is healed, where one was given.
        calibration: the calibration set.
        recipe: what was asked for.
    """
    running = set(Execution.model_fields) - {"dtype"}
    return {
        "model": opened.file.model.fingerprint,
        "pattern": opened.sha256,
        "checkpoint": None if given is None else given.fingerprint,
        "calibration": calibration.fingerprint,
        **recipe.model_dump(exclude=running),
    }


def given_checkpoint(pattern: Path) -> Checkpoint | None:
    """Open the checkpoint that was given as a pattern; None where it is a search run or a file.

    Raises:
        EvopError: it is healed already.
    """
    if not (pattern / CONFIG).is_file():
        return None
    if (healed := HealFile.of(pattern)) is not None:
        raise EvopError(
            f"--pattern {pattern} is healed already ({healed.tokens:,} tokens); give the pruned checkpoint, with more "
            "--tokens if it is to learn longer"
        )
    return Checkpoint.find(pattern)


def refuse_what_cannot_heal(recipe: HealRecipe) -> None:
    """Refuse ways of running a model that no training goes with, and the text of an anchor without a share.

    Raises:
        EvopError: says which, and what to do instead.
    """
    if recipe.device == SPREAD:
        raise EvopError(f"--device {SPREAD}: healing trains on one device; choose auto, cpu or cuda")
    if recipe.dtype == "float16":
        raise EvopError("--dtype float16: gradients vanish in it; choose bfloat16 or float32")
    if recipe.anchor_text is not None and not recipe.anchor:
        raise EvopError(f"--anchor-text {recipe.anchor_text}: its share is 0; give --anchor too, such as 0.1")


def refuse_another_tokenizer(dense: LoadedModel, pruned: Checkpoint, trust_remote_code: bool) -> None:
    """Check that both models read and predict the same tokens.

    Raises:
        EvopError: they do not, so that nothing can be learned.
    """
    own = load_tokenizer(pruned, trust_remote_code)
    if own.get_vocab() != dense.tokenizer.get_vocab():
        raise EvopError(
            f"{pruned.name} has another tokenizer than {dense.checkpoint.name} ({len(own)} and {len(dense.tokenizer)} "
            "tokens); a model can be healed by one of the same tokenizer alone"
        )
    sizes = [int(checkpoint.resolved.vocab_size) for checkpoint in (dense.checkpoint, pruned)]
    if sizes[0] != sizes[1]:
        raise EvopError(
            f"{pruned.name} predicts {sizes[1]} tokens, {dense.checkpoint.name} {sizes[0]}; give its own model"
        )


def out_of_memory(error: torch.OutOfMemoryError, device: torch.device) -> EvopError:
    """Say on one line that memory ran out."""
    return EvopError(
        f"out of memory on {device}; use a smaller --batch-size (of 1 at least) or --max-tokens, or --train outputs; "
        "run the same command again to go on"
    )
