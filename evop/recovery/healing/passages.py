"""Which passages are learned from and which are looked at: those of groups that have enough of both."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.errors import EvopError
from evop.model.loaded import LoadedModel
from evop.recipes.heal import HealRecipe
from evop.recovery.anchor import anchor_of
from evop.recovery.text import LearningText, apart_from_learning
from evop.tokens.passages import TokenPassages, tokenize


@dataclass(frozen=True)
class HealingPassages:
    """The passages of a healing.

    Attributes:
        train: text to learn from.
        select: text that is looked at.
        left_out: group key -> why nothing is learned from it.
    """

    train: TokenPassages
    select: TokenPassages
    left_out: Mapping[str, str]


def healing_passages(
    calibration: CalibrationSet, tokenizer: Any, recipe: HealRecipe, held_out: Collection[str] = ()
) -> HealingPassages:
    """Tokenise ``train`` and ``select``, text and chats alone.

    A group with enough of ``select`` is watched, whether it has text to learn from or not. Of domains that the search
    held out nothing is learned or watched, so that they still say how a model does on what it was not made for.

    Raises:
        EvopError: the set has no text to learn from, or no group has enough to be watched.
    """
    LearningText.refuse_without_text(calibration, held_out)
    watchable = [p for p in calibration.split("select") if p.kind == "text" and p.domain not in held_out]
    learnable = LearningText.train(calibration, held_out)
    train, select = (tokenize(passages, tokenizer, recipe.max_tokens) for passages in (learnable, watchable))
    watched = [group for group, tokens in select.tokens_by_group.items() if tokens >= recipe.min_group_tokens]
    learned = [group for group in train.tokens_by_group if group in watched]
    if not learned:
        raise EvopError(
            f"no group with text to learn from has {recipe.min_group_tokens} tokens in select; lower "
            "--min-group-tokens, or calibrate with more --select-passages"
        )
    left_out = {group: "no text in train, watched only" for group in watched if group not in learned}
    few = f"fewer than {recipe.min_group_tokens} tokens in select"
    left_out |= {group: few for group in train.tokens_by_group if group not in watched}
    return HealingPassages(train.only(learned), select.only(watched), left_out)


def healing_anchor(
    loaded: LoadedModel, recipe: HealRecipe, passages: HealingPassages, calibration: CalibrationSet, folder: Path
) -> TokenPassages | None:
    """Make the text of no named domain that every batch has its share of; None where that is nothing.

    As much as is read of it, and at most as much as keeps its share beside the passages there are.

    Raises:
        EvopError: samples that cannot be drawn, or a corpus that cannot be read or has too little text.
    """
    if not recipe.anchor:
        return None
    share = recipe.anchor
    tokens = min(share * recipe.tokens, share / (1 - share) * passages.train.total)
    return anchor_of(
        loaded,
        tokens=max(1, round(tokens)),
        max_tokens=recipe.max_tokens,
        text=recipe.anchor_text,
        seed=recipe.seed,
        folder=folder,
        apart_from=apart_from_learning(calibration),
    ).train
