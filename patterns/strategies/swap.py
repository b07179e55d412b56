"""EvoPress' evolution by level switches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from patterns.budget import Budget
from patterns.errors import PatternError
from patterns.part import Pattern

START, OFFSPRING = 64, 32
"""Random patterns of a start, and offspring of a generation."""
TRIES = 3
"""Mutations tried for each offspring before a generation goes on with fewer."""
MAX_SWITCHES = 3
"""Level switches that an offspring is away from its parent at most."""
STEPS = ((1 / 16, 8), (1 / 4, 2), (1.0, 1))
"""The steps of a selection: share of the search sample, and number of survivors."""


@dataclass(frozen=True)
class SwapSettings:
    """How a selection goes, and how long.

    Attributes:
        steps: the steps of a selection: share of the search sample, and number of survivors.
        generations: number of generations after which the search ends; None: never, a stuck parent starts it anew.
        offspring: number of offspring of a generation.
    """

    steps: tuple[tuple[float, int], ...] = STEPS
    generations: int | None = None
    offspring: int = OFFSPRING

    @classmethod
    def of_evopress(cls, pairs: int, layers: int) -> SwapSettings:
        """Make EvoPress' own for depth: two steps with 2 and 1 survivors, k (n - k) / 1.5 generations.

        Args:
            pairs: number k of attentions, and of MLPs, that leave.
            layers: number n of layers.
        """
        return cls(((1 / 16, 2), (1.0, 1)), int(pairs * (layers - pairs) / 1.5))


class Swap:
    """Evolves one parent by 32 offspring per generation, level switches that keep the budget, selected in steps.

    A search after EvoPress, not EvoPress to the letter. EvoPress' are: the start, the best of 64 random patterns at
    the lowest fidelity; offspring that are one to three switches away, min(U{1..3}, U{1..3}); none twice, and not the
    parent; few tokens for many and more for the survivors; the parent in the last step, so that the best is never
    lost; and, where the space is ``balanced``, switches of an attention for an attention, an MLP for an MLP.

    Ours are: the shares 1/16, 1/4 and all of the sample with 8 and 2 survivors, at every grain (EvoPress: 2
    survivors, shares 1/16 and 1 for depth); under other deploys, switches that may trade one unit against several of
    another kind; the search's own objective and loss (EvoPress: the divergence, ``kl``, over all tokens alike);
    tokens that are the same for every pattern, so that each is measured once (EvoPress: drawn anew for each
    selection); and a new start when the parent has outlived some generations, for a (1+32) can stick. Where the
    sample has fewer fidelities than there are steps, those of one fidelity merge, for nothing is measured again. It
    never ends by itself. ``benchmarks/peers.py`` runs it with EvoPress' own settings and tokens drawn anew, beside
    what EvoPress' own code found.

    Source: EvoPress (arXiv 2410.14649), section 3 and its code.

    Attributes:
        patience: number of generations in a row without a better parent after which the search starts anew.
        settings: how a selection goes, and how long.

    Raises:
        PatternError: ``patience`` below 1.
    """

    def __init__(self, budget: Budget, seed: int, *, patience: int = 10, settings: SwapSettings | None = None) -> None:
        if patience < 1:
            raise PatternError(f"patience must be at least 1 generation, found {patience}")
        self.budget = budget
        self.patience = patience
        self.settings = settings or SwapSettings()
        self.finishes = self.settings.generations is not None
        self._generation = 0
        self._rng = np.random.default_rng(seed)
        self._ranked: list[Pattern] = []
        self._stuck: int = 0
        self._asked: list[Pattern] = []

    def ask(self) -> list[Pattern]:
        """Return the offspring, then their survivors for a larger share each time; nothing when all is over."""
        if self._generation == self.settings.generations:
            return []
        if not self._asked:
            self._start()
        return self._asked

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Keep the best for the next step; after the last, the best is the next parent."""
        self._ranked = sorted(self._asked, key=lambda pattern: values[pattern])
        steps = self.settings.steps
        last = self._step == len(steps) - 1
        if self._parent is None or last:
            self._generation += self._parent is not None
            self._stuck = self._stuck + 1 if self._ranked[0] == self._parent else 0
            self._breed(self._ranked[0])
        else:
            survivors = self._ranked[: steps[self._step][1]]
            parent = [self._parent] if self._step == len(steps) - 2 else []
            self._select(self._step + 1, [*survivors, *parent])

    def begin_from(self, values: Mapping[Pattern, float]) -> None:
        """Let the best of these be the first parent, in place of the best of a random start."""
        self._stuck = 0
        self._breed(min(values, key=lambda pattern: values[pattern]))

    def completions(self, values: Mapping[Pattern, float]) -> list[Pattern]:
        """Return the best of the last step that was finished; of what was measured, where the first was not."""
        return (self._ranked or sorted(values, key=lambda pattern: values[pattern]))[:1]

    def _start(self) -> None:
        """Ask for random patterns, without a parent."""
        self._parent: Pattern | None = None
        self._stuck = 0
        self._select(0, self._first())

    def _first(self) -> list[Pattern]:
        """Draw the patterns of a start."""
        return [self.budget.draw(self._rng) for _ in range(START)]

    def _breed(self, parent: Pattern) -> None:
        """Ask for the offspring of a parent, or for a new start when it has outlived its time.

        A parent that has no offspring is measured in full, and its time is over.
        """
        self._parent = parent
        if self._stuck >= self.patience and not self.finishes:
            self._start()
            return
        offspring: dict[Pattern, None] = {}
        for _ in range(TRIES * self.settings.offspring):
            child = self._child(parent)
            if child != parent:
                offspring[child] = None
            if len(offspring) == self.settings.offspring:
                break
        if offspring:
            self._select(0, list(offspring))
        else:
            self._stuck = self.patience
            self._select(len(self.settings.steps) - 1, [parent])

    def _select(self, step: int, patterns: list[Pattern]) -> None:
        """Ask for patterns at the share of the sample of a step."""
        self._step, self._asked, self.fidelity = step, patterns, self.settings.steps[step][0]
        self.survivors: int | None = 1 if self._parent is None else self.settings.steps[step][1]

    def _child(self, parent: Pattern) -> Pattern:
        """Return a pattern one to three switches from a parent, few more often than many."""
        child = parent
        for _ in range(self._rng.integers(1, MAX_SWITCHES + 1, 2).min()):
            child = self._switched(child)
        return child

    def _switched(self, pattern: Pattern) -> Pattern:
        """Return a pattern one level switch away."""
        return self.budget.move(pattern, self._rng)
