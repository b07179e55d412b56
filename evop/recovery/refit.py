"""A refit from its text to what was chosen: several ridges, several depths, judged on text that none of them saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.losses.objectives import cvar
from evop.losses.table import excess
from evop.model.loaded import wider
from evop.recipes.refit import RefitRecipe
from evop.recovery.chain import ChainRefit
from evop.recovery.refit_file import Tried
from evop.recovery.refit_folder import RefitFolder
from evop.recovery.refit_text import RefitText
from evop.removal.cut import Cut, Place, Weight, part_name

DEPTHS = (0.5, 0.75, 1.0)
"""Shares of the blocks, from the first on, that are refitted at most: errors add up, so that less may be better."""


@dataclass(frozen=True)
class Refitting:
    """Tries ways to refit one cut, and judges them.

    Attributes:
        evaluator: the dense model.
        cut: what leaves it.
        text: what is learned from, and what is judged by; the anchor is a group like any other.
        recipe: what was asked.
        folder: keeps what is done.
        watch: is shown what is worked on.
    """

    evaluator: Evaluator
    cut: Cut
    text: RefitText
    recipe: RefitRecipe
    folder: RefitFolder
    watch: Callable[[str], None] = lambda line: None

    def tried(self) -> tuple[list[Cut], list[Tried]]:
        """Refit in every way that was asked for, and judge each; the first is the cut as it was.

        Raises:
            EvopError: inputs or losses that are not finite.
        """
        ways = list(self._ways())
        self.watch(f"judging {len(ways)} ways on {self.text.judged_by.total:,} tokens of select")
        dense = self.evaluator.dense(self.text.judged_by).by_group
        tables = self.evaluator.of_cuts([way.cut for way in ways], self.text.judged_by)
        if not all(table.finite for table in tables):
            dtype = self.evaluator.loaded.dtype
            raise EvopError(f"losses are not finite at --dtype {dtype}; {wider(dtype)}")
        judged = []
        for way, table in zip(ways, tables, strict=True):
            lost = excess(table.by_group, dense)
            value = cvar(np.array(list(lost.values())))
            judged.append(Tried(method=way.method, ridge=way.ridge, through=way.through, value=value, excess=lost))
        return [way.cut for way in ways], judged

    def _ways(self) -> Iterator[_Way]:
        yield _Way(self.cut, "none", 0.0, -1)
        method = self.recipe.method
        for ridge in self.recipe.ridges:
            weights = self._weights(method, ridge)
            places = list(weights)
            counts = sorted({max(1, round(share * len(places))) for share in DEPTHS if places})
            for count in counts if self.recipe.refit == "auto" else counts[-1:]:
                some = {place: weights[place] for place in places[:count]}
                yield _Way(replace(self.cut, weights={**self.cut.weights, **some}), method, ridge, places[count - 1][1])

    def _weights(self, method: str, ridge: float) -> Mapping[Place, Weight]:
        """Refit with one ridge; blocks that were done before are not done again."""
        done = self.folder.kept(method, ridge)

        def refit(batch_tokens: int) -> dict[Place, Weight]:
            bare = replace(self.cut, weights={})
            chain = ChainRefit(self.evaluator.loaded, bare, self.text.learning, method, batch_tokens, solved=done)
            order = {place: number for number, place in enumerate(chain.places, 1)}

            def tick(place: Place) -> None:
                self.watch(f"ridge {ridge:g}: {part_name(*place)}, {order[place]} of {len(order)}")

            chain.tick = tick
            chain.keep = lambda place, weight: self.folder.keep(method, ridge, place, weight)
            return chain.weights(ridge)

        return self.evaluator.backoff(refit)


@dataclass(frozen=True)
class _Way:
    """One way to refit: the cut with its weights, and what it is called."""

    cut: Cut
    method: str
    ridge: float
    through: int


def best_of(tried: list[Tried], refit: str) -> int:
    """Choose: the least objective. What was asked for by name is taken even where the pattern as it was is better.

    Args:
        tried: what was tried, the pattern as it was first.
        refit: ``--refit``.
    """
    first = 0 if refit == "auto" or len(tried) == 1 else 1
    return min(range(first, len(tried)), key=lambda at: (tried[at].value, at))
