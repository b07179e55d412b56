"""What a refit learns from, and what it is judged by: two texts that share no document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from calibration import CalibrationSet
from evop.model.families import BLOCK_KINDS
from evop.model.loaded import LoadedModel
from evop.recipes.refit import RefitRecipe
from evop.recovery.anchor import Anchor, anchor_of
from evop.recovery.samples import continuations
from evop.recovery.text import LearningText, apart_from_learning, joined
from evop.tokens.passages import TokenPassages, tokenize

TOKENS_A_FEATURE = 5
"""Tokens that a refit wants for each input feature of a projection: with a fifth of them it made audits worse."""


@dataclass(frozen=True)
class RefitText:
    """The text of one refit.

    Attributes:
        learning: what is learned from: the split ``train``, and the anchor.
        judged_by: what ways to refit are judged by: the split ``select``, and what was held out of the anchor.
        source: where the anchor comes from; empty where there is none.
        max_tokens: tokens per passage at most.
    """

    learning: LearningText
    judged_by: TokenPassages
    source: str
    max_tokens: int

    @classmethod
    def of(
        cls,
        calibration: CalibrationSet,
        loaded: LoadedModel,
        recipe: RefitRecipe,
        folder: Path,
        watch: Callable[[str], None] = lambda line: None,
        held_out: Collection[str] = (),
    ) -> RefitText:
        """Make the text of a refit; what the dense model writes is kept in a folder.

        Nothing is learned from domains that are held out, and nothing is judged by them.

        Raises:
            EvopError: a set without text to learn from, or an anchor that cannot be made.
        """
        most = recipe.max_tokens or 0
        learning = LearningText.of(calibration, loaded.tokenizer, most, held_out)
        if recipe.self_generated:
            train = LearningText.train(calibration, held_out)
            learning = LearningText(
                continuations(loaded, train, max_tokens=most, seed=recipe.seed, folder=folder, report=_drawing(watch))
            )
        select = [passage for passage in calibration.split("select") if passage.domain not in held_out]
        judged_by = tokenize([passage for passage in select if passage.kind == "text"], loaded.tokenizer, most)
        if not recipe.anchor:
            return cls(learning, judged_by, "", most)
        wanted = round(learning.tokens * recipe.anchor / (1 - recipe.anchor))
        anchor = _anchor(calibration, loaded, recipe, wanted, folder, watch)
        learning = LearningText(joined(learning.passages, anchor.train))
        return cls(learning, joined(judged_by, anchor.held_out), anchor.source, most)

    @cached_property
    def by_domain(self) -> dict[str, int]:
        """Domain -> tokens that are learned from."""
        counted: Counter[str] = Counter()
        for domain, scored in zip(self.learning.domains, self.learning.passages.scored, strict=True):
            counted[domain] += int(scored)
        return dict(counted)

    def shortage(self, loaded: LoadedModel) -> str:
        """Say in words whether this is little text for the widest projection; empty where it is enough."""
        layer, family = loaded.family.layer_list(loaded.model)[0], loaded.family
        blocks = [family.block(kind) for kind in BLOCK_KINDS]
        widest = max(layer.get_submodule(block.out).get_parameter("weight").shape[block.out_axis] for block in blocks)
        if self.learning.tokens >= TOKENS_A_FEATURE * widest:
            return ""
        return (
            f"that is little for projections of {widest:,} features: fewer than {TOKENS_A_FEATURE} tokens each, and a "
            "refit may do harm where nobody looks; calibrate with more --train-tokens"
        )

    @property
    def words(self) -> str:
        """What is learned from, in words."""
        counted = ", ".join(f"{domain} {tokens:,}" for domain, tokens in self.by_domain.items())
        return f"{self.learning.tokens:,} tokens: {counted}"


def _anchor(
    calibration: CalibrationSet,
    loaded: LoadedModel,
    recipe: RefitRecipe,
    tokens: int,
    folder: Path,
    watch: Callable[[str], None],
) -> Anchor:
    return anchor_of(
        loaded,
        tokens=tokens,
        max_tokens=recipe.max_tokens or 0,
        text=recipe.anchor_text,
        seed=recipe.seed,
        folder=folder,
        apart_from=apart_from_learning(calibration),
        report=_drawing(watch),
    )


def _drawing(watch: Callable[[str], None]) -> Callable[[int, int], None]:
    return lambda done, of: watch(f"the dense model writes: {done:,} of {of:,} tokens")
