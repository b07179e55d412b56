"""Policy gradient over keep probabilities: Bypass Back-propagation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from patterns.budget import Budget
from patterns.part import Pattern

SAMPLES = 8
"""Patterns sampled per step."""
LEARNING_RATE = 0.15
BASELINE_WINDOW = 5
"""One over the weight of the newest batch in the moving average of losses that is the baseline."""
EDGE = 0.02
"""Least distance of a probability from 0 and 1, where it would never move again."""


class Policy:
    """Moves a Bernoulli keep probability for every level of every part by the losses of samples.

    As published: probabilities begin at the sigmoid of the standardised scores (uniform where nothing is known);
    masks are sampled and run forward only; the gradient is that of ``gradient``, whose baseline is a moving average
    in which the newest batch weighs a fifth; after each plain step the probabilities are shifted and clamped,
    attention and MLP apart, so that their mean is the keep rate; samples without a loss are skipped; the answer is
    the hard choice.

    Ours are: a part's level is the number of its sampled units that leave, since which leave first is settled;
    samples are brought to the budget, and the mask ``m`` is that of the pattern measured, a thinned part's units
    each counting the share that is kept; 8 samples per step, losses divided by their spread and a constant rate of
    0.15, for hundreds of patterns where the paper runs 15,000 steps of 2; probabilities are shifted up to the keep
    rate as well as down, and kept a little away from 0 and 1; the hard choice is made by cost over all parts
    (published: attention and MLP each at the keep rate), and is measured in every round, where it is new; and no
    entropy term. At a few hundred patterns this is Bypass-BP in name and estimator, not in the length of its run.

    Source: Bypass Back-propagation (arXiv 2406.10576), sections 3 and 4, and its code.

    Attributes:
        keep_rate: the mean of the probabilities of each kind of part.
        kinds: kind of the part of each unit, str [units].
        probabilities: keep probability of each unit, float [units].
    """

    finishes = False
    fidelity = 1.0
    survivors: int | None = None

    def __init__(self, budget: Budget, seed: int) -> None:
        self.budget = budget
        self._rng = np.random.default_rng(seed)
        space = budget.space
        self._parts = [space.parts[i] for i in space.free]
        self._tops = np.array([part.top for part in self._parts])
        self.kinds = np.array([part.kind for part in self._parts for _ in range(part.top)])
        everything = self._pattern(self._tops)
        self.keep_rate = 1 - budget.need / budget.gone(everything)
        known = [x for part in self._parts for x in part.scores or part.prices or (0.0,) * part.top]
        self.probabilities = self._projected(self._first(np.array(known)))
        self._baseline: float | None = None

    def ask(self) -> list[Pattern]:
        """Return a batch of samples, and the hard choice of the moment."""
        masks = self._rng.random((SAMPLES, len(self.probabilities))) < self.probabilities
        self._samples = [self.budget.repair(self._pattern(self._of_parts(~mask)), self._rng) for mask in masks]
        return [*self._samples, self._hard()]

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Take one step along the estimated gradient, and return to the keep rate."""
        measured = [pattern for pattern in self._samples if np.isfinite(values[pattern])]
        if len(measured) < 2:
            return
        losses = np.array([values[pattern] for pattern in measured])
        before = losses.mean() if self._baseline is None else self._baseline
        self._baseline = before + (losses.mean() - before) / BASELINE_WINDOW
        levels = np.array([[pattern.levels[i] for i in self.budget.space.free] for pattern in measured])
        kept = np.repeat(1 - levels / self._tops, self._tops, axis=1)
        step = gradient((losses - self._baseline) / (losses.std() or 1.0), kept, self.probabilities)
        self.probabilities = self._projected(self.probabilities - LEARNING_RATE * step)

    def completions(self, values: Mapping[Pattern, float]) -> list[Pattern]:
        """Return none: every pattern asked meets the budget already."""
        return []

    def _hard(self) -> Pattern:
        """Return the pattern in which the units of the smallest keep probabilities leave."""
        order = [np.zeros(part.top) for part in self.budget.space.parts]
        of_parts = np.split(self.probabilities, np.cumsum(self._tops)[:-1])
        for i, kept in zip(self.budget.space.free, of_parts, strict=True):
            order[i] = np.sort(kept)
        return self.budget.ranked(order)

    def _pattern(self, levels: np.ndarray) -> Pattern:
        """Return the pattern of levels of the parts that may go, int [free parts]; the others are dense."""
        pattern = np.zeros(len(self.budget.space.parts), dtype=int)
        pattern[list(self.budget.space.free)] = levels
        return Pattern(tuple(pattern.tolist()))

    def _of_parts(self, gone: np.ndarray) -> np.ndarray:
        """Return how many units are gone per part, int [free parts], from bool [units]."""
        return np.add.reduceat(gone.astype(int), np.cumsum(self._tops) - self._tops)

    def _first(self, known: np.ndarray) -> np.ndarray:
        """Return the sigmoid of the scores, standardised within their kind; float [units]."""
        first = np.empty(len(known))
        for kind in dict.fromkeys(self.kinds):
            scores = known[self.kinds == kind]
            first[self.kinds == kind] = 1 / (1 + np.exp(-(scores - scores.mean()) / (scores.std() or 1.0)))
        return first

    def _projected(self, probabilities: np.ndarray) -> np.ndarray:
        """Return probabilities, each kind shifted by bisection and clamped to a mean of the keep rate; float."""
        after = np.empty(len(probabilities))
        for kind in dict.fromkeys(self.kinds):
            after[self.kinds == kind] = projected(probabilities[self.kinds == kind], self.keep_rate)
        return after


def gradient(losses: np.ndarray, masks: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Estimate how the expected loss changes with the keep probabilities.

    It is ``sum_k L_k (m_k - s) / sqrt(s (1 - s)) / (K - 1)``. A score function divides by ``s (1 - s)``; the published
    estimator takes its root.

    Args:
        losses: what each sample lost beyond the baseline, float [samples].
        masks: what each sample kept of each unit, float [samples, units], from 0 to 1.
        probabilities: keep probability of each unit, float [units].

    Returns:
        float [units].

    Source: Bypass Back-propagation (arXiv 2406.10576), section 3, and its code.
    """
    score = (masks - probabilities) / np.sqrt(probabilities * (1 - probabilities))
    return losses @ score / (len(losses) - 1)


def projected(probabilities: np.ndarray, rate: float) -> np.ndarray:
    """Return probabilities, float [units], shifted alike and clamped, so that their mean is a rate; by bisection."""
    low, high = -2.0, 2.0
    for _ in range(50):
        middle = (low + high) / 2
        shifted = np.clip(probabilities + middle, EDGE, 1 - EDGE)
        low, high = (middle, high) if shifted.mean() < rate else (low, middle)
    return shifted
