"""Greedy removal, one unit per step: SLEB for whole layers, BlockPruner for sub-blocks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from patterns.budget import Budget
from patterns.part import Pattern

STEPS = 16
"""Steps down ladders in which what is needed is gone: each removes a sixteenth of it."""


class Greedy:
    """Tries every removal from the dense model, keeps the best, and goes on from it until the budget is met.

    A removal is a unit of the space. Of a ladder it is as many levels of one part as remove a sixteenth of what must
    go, or all that are left: a level at a time would take hundreds of rounds. Under a rule that couples parts, one
    step removes the smallest set that leaves a legal pattern. The steps on the way remove less than the budget asks;
    one that removes more than enough is brought to the budget by putting back what is not needed.

    Source: SLEB (arXiv 2402.09025), algorithm 1; BlockPruner (arXiv 2406.10594), iterative search. Both score
    by perplexity and know whole units only; here the search's own objective is used, and what the space protects is
    protected.
    """

    finishes = True
    fidelity = 1.0
    survivors = 1

    def __init__(self, budget: Budget, seed: int) -> None:
        self.budget = budget
        self._rng = np.random.default_rng(seed)
        self._kept = budget.space.dense
        self._step: dict[Pattern, float] = {}
        self._finished = False

    def ask(self) -> list[Pattern]:
        """Return every removal from the pattern kept so far that brings it nearer to the budget."""
        if self._finished:
            return []
        removals = list(dict.fromkeys(self._enlarged(p) for p in self.budget.space.removals(self._kept)))
        there = self.budget.toward(self._kept)
        return [pattern for pattern in removals if self.budget.toward(pattern) > there] or removals

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Keep the best removal; finish when it meets the budget."""
        self._step = dict(values)
        self._kept = min(values, key=lambda pattern: values[pattern])
        self._finished = self.budget.met(self._kept)

    def completions(self, values: Mapping[Pattern, float]) -> list[Pattern]:
        """Return the pattern kept so far, completed in the order in which the removals of the last whole step ranked.

        Where the first step was not finished, what it measured is the ranking. Levels beyond a removal leave at a
        later place of the ranking, the second time round, the third, and so on.
        """
        ranking = {pattern: values[pattern] for pattern in self._step} or values
        best_first = sorted(ranking, key=lambda pattern: ranking[pattern])
        order = []
        for i, part in enumerate(self.budget.space.parts):
            kept = self._kept.levels[i]
            places = [(rank, p.levels[i]) for rank, p in enumerate(best_first, start=1) if p.levels[i] > kept]
            rank, reached = places[0] if places else (len(best_first) + 1, part.top)
            rounds = np.ceil((np.arange(1, part.top + 1) - kept) / (reached - kept or 1))
            order.append(np.where(rounds > 0, rank + (rounds - 1) * (len(best_first) + 1), 0.0))
        return [self.budget.ranked(order)]

    def _enlarged(self, pattern: Pattern) -> Pattern:
        """Return a removal made large enough, and brought to the budget where it removes more than enough."""
        kept = self._kept.levels
        units = [i for i, (level, was) in enumerate(zip(pattern.levels, kept, strict=True)) if level > was]
        least = min(self.budget.need, self.budget.toward(self._kept) + self.budget.need / STEPS)
        while self.budget.toward(pattern) < least:
            levels = list(pattern.levels)
            for i in units:
                levels[i] += 1
            further = Pattern(tuple(levels))
            if not self.budget.space.legal(further):
                break
            pattern = further
        return self.budget.repair(pattern, self._rng) if self.budget.enough(pattern) else pattern
