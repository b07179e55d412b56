"""Policy gradient over keep probabilities: Bypass Back-propagation."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from patterns.budget import Budget
from patterns.part import Pattern

SAMPLES = 8
RATE = 0.15
WINDOW = 5
EDGE = 0.02
"""Probabilities keep so far from 0 and 1, or they would never move again."""


class Policy:
    """A Bernoulli keep probability for every level of every part, moved by the losses of samples.

    As published: probabilities begin at the sigmoid of the standardised scores (uniform where nothing is known);
    masks are sampled and run forward only; the gradient is estimated as
    ``sum_k (L_k - baseline) (m_k - s) / sqrt(s (1 - s)) / (K - 1)`` with a moving average of the last five batches
    as baseline; after each plain step the probabilities are shifted and clamped, attention and MLP apart, so that
    their mean is the keep rate; samples without a loss are skipped; the answer is the hard choice.

    Ours are: a part's level is the number of its sampled units that leave, since which leave first is settled;
    samples are brought to the budget, and the mask ``m`` is that of the pattern measured, a thinned part's units
    each counting the share that is kept; 8 samples a step, losses divided by their spread and a constant rate of
    0.15, for hundreds of patterns where the paper runs 15,000 steps of 2; the hard choice is measured in every
    round, where it is new; and no entropy term.

    Source: Bypass Back-propagation (arXiv 2406.10576), sections 3 and 4, and its code.
    """

    finishes = False
    fidelity = 1.0
    keep: int | None = None

    def __init__(self, budget: Budget, seed: int) -> None:
        self.budget = budget
        self._rng = np.random.default_rng(seed)
        space = budget.space
        self._parts = [space.parts[i] for i in space.free]
        self._tops = np.array([part.top for part in self._parts])
        self._kinds = np.array([part.kind for part in self._parts for _ in range(part.top)])
        everything = self._pattern(self._tops)
        self._rate = 1 - budget.need / budget.gone(everything)
        known = [x for part in self._parts for x in part.scores or part.prices or (0.0,) * part.top]
        self._keep = self._projected(self._first(np.array(known)))
        self._baseline: deque[float] = deque(maxlen=WINDOW)

    def ask(self) -> list[Pattern]:
        """A batch of samples, and the hard choice of the moment."""
        masks = self._rng.random((SAMPLES, len(self._keep))) < self._keep
        self._samples = [self.budget.repair(self._pattern(self._of_parts(~mask)), self._rng) for mask in masks]
        return [*self._samples, self._hard()]

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """One step along the estimated gradient, back to the keep rate."""
        measured = [pattern for pattern in self._samples if np.isfinite(values[pattern])]
        if len(measured) < 2:
            return
        losses = np.array([values[pattern] for pattern in measured])
        self._baseline.append(float(losses.mean()))
        gain = (losses - np.mean(self._baseline)) / (losses.std() or 1.0)
        levels = np.array([[pattern.levels[i] for i in self.budget.space.free] for pattern in measured])
        kept = np.repeat(1 - levels / self._tops, self._tops, axis=1)
        score = (kept - self._keep) / np.sqrt(self._keep * (1 - self._keep))
        self._keep = self._projected(self._keep - RATE * gain @ score / (len(measured) - 1))

    def completion(self, values: Mapping[Pattern, float]) -> Pattern | None:
        """Every pattern asked meets the budget already."""
        return None

    def _hard(self) -> Pattern:
        """The units of the smallest probabilities leave."""
        order = [np.zeros(part.top) for part in self.budget.space.parts]
        for i, mine in zip(self.budget.space.free, np.split(self._keep, np.cumsum(self._tops)[:-1]), strict=True):
            order[i] = np.sort(mine)
        return self.budget.ranked(order)

    def _pattern(self, levels: np.ndarray) -> Pattern:
        """Of the levels of the parts that may go, the others dense."""
        pattern = np.zeros(len(self.budget.space.parts), dtype=int)
        pattern[list(self.budget.space.free)] = levels
        return Pattern(tuple(pattern.tolist()))

    def _of_parts(self, gone: np.ndarray) -> np.ndarray:
        """How many units are gone, a part; int [free parts] of bool [units]."""
        return np.add.reduceat(gone.astype(int), np.cumsum(self._tops) - self._tops)

    def _first(self, known: np.ndarray) -> np.ndarray:
        """Sigmoid of the scores, standardised within their kind."""
        first = np.empty(len(known))
        for kind in dict.fromkeys(self._kinds):
            mine = known[self._kinds == kind]
            first[self._kinds == kind] = 1 / (1 + np.exp(-(mine - mine.mean()) / (mine.std() or 1.0)))
        return first

    def _projected(self, keep: np.ndarray) -> np.ndarray:
        """Each kind shifted by bisection, and clamped, to a mean of the keep rate."""
        projected = np.empty(len(keep))
        for kind in dict.fromkeys(self._kinds):
            low, high = -2.0, 2.0
            for _ in range(50):
                middle = (low + high) / 2
                shifted = np.clip(keep[self._kinds == kind] + middle, EDGE, 1 - EDGE)
                low, high = (middle, high) if shifted.mean() < self._rate else (low, middle)
            projected[self._kinds == kind] = shifted
        return projected
