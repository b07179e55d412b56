"""What a search may spend on refitting its finalists: on how many of them, and by how much text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from calibration import CalibrationSet
from evop.model.loaded import LoadedModel
from evop.recipes.search import SearchRecipe
from evop.recovery.text import READINGS, LearningText, refit_tokens
from evop.searching.passages import ObjectivePassages, held_out_domains
from patterns import FINALISTS

SHARE = 0.5
"""Share of ``--tokens`` that refits may take: what a search is for is to have something to refit."""
FEWEST = 4
"""Finalists to refit at the least: by less text, where it is too much to read that often."""


@dataclass(frozen=True)
class FinalistRefits:
    """Says which text finalists are refitted by, and how many are.

    Attributes:
        learning: the text; None where finalists are judged as they were searched.
        most: number of finalists that are judged.
        of: number of tokens that the set has to learn from.
        trained: tokens that a pattern is trained on before it is measured in full, and a finalist once more.
    """

    learning: LearningText | None = None
    most: int = FINALISTS
    of: int = 0
    trained: int = 0

    @classmethod
    def within(
        cls,
        recipe: SearchRecipe,
        calibration: CalibrationSet,
        loaded: LoadedModel,
        passages: ObjectivePassages,
        trained: int = 0,
    ) -> Self:
        """Take the text to learn from, nothing of a domain that is held out; no more than ``--tokens`` has room for.

        Which refitted pattern is best takes several to tell. So where half of the tokens are too few to refit
        ``FEWEST`` finalists by all of the text, they are refitted by a part of it.

        Raises:
            EvopError: the set has none.
        """
        if recipe.judge != "refit":
            return cls(trained=trained)
        held_out = held_out_domains(calibration, recipe.hold_out_domain)
        learning = LearningText.of(calibration, loaded.tokenizer, recipe.max_tokens, held_out)
        whole = cls(learning, of=learning.tokens)
        if recipe.tokens is None:
            return whole
        room = int(SHARE * recipe.tokens)
        if FEWEST * whole.each(passages) > room:
            reading = room // FEWEST - passages.search.total - passages.select.total
            whole = replace(whole, learning=learning.at_most(reading // READINGS))
        return replace(whole, most=max(1, min(FINALISTS, room // whole.each(passages))))

    @property
    def note(self) -> str:
        """What a person would like to know of it, or nothing."""
        if self.learning is None or self.learning.tokens == self.of:
            return ""
        finalists = f"{self.most} finalists are" if self.most > 1 else "one finalist is, with nothing to choose among,"
        part = f"{self.learning.tokens:,} of the {self.of:,} tokens that the set has to learn from"
        return f"--tokens: {finalists} refitted, by {part}; with more tokens by all of them"

    def each(self, passages: ObjectivePassages) -> int:
        """Count the tokens that judging one finalist scores."""
        recovering = self.trained if self.learning is None else refit_tokens(self.learning, passages.search)
        return passages.select.total + recovering

    def reserve(self, finalists: int, passages: ObjectivePassages) -> int:
        """Count the tokens that the dense model and the finalists take; without any, a completed pattern."""
        completing = 0 if finalists else passages.search.total + self.trained
        return passages.select.total + max(1, min(finalists, self.most)) * self.each(passages) + completing

    def holdings(self, tolerates: bool) -> int:
        """Count how often ``select`` is read at most to hold an answer against tolerances, as it is and refitted."""
        as_it_is = 2 * tolerates
        return as_it_is if self.learning is None else 2 * as_it_is + (1 + self.most) * tolerates
