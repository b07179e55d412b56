"""Policy gradient over keep probabilities: Bypass Back-propagation."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from patterns.budget import Budget
from patterns.space import Pattern
from patterns.strategies.values import finite

SAMPLES = 8
RATE = 0.1
WINDOW = 5
EDGE = 0.02
REP=0
APART=1

class Policy:
    """x"""

    finishes = False
    effort = 1.0

    def __init__(self, budget: Budget, seed: int) -> None:
        self.budget = budget
        self._rng = np.random.default_rng(seed)
        parts = budget.space.parts
        self._part = np.array([i for i in budget.space.free for _ in range(parts[i].top)])
        self._kinds = np.array([parts[i].kind if APART else 'x' for i in self._part])
        known = [x for i in budget.space.free for x in parts[i].scores or parts[i].prices or (0.5,) * parts[i].top]
        self._keep = self._projected(self._first(np.array(known)))
        self._baseline: deque[float] = deque(maxlen=WINDOW)

    def ask(self) -> list[Pattern]:
        """A batch of samples, and the hard choice of the moment."""
        self._masks = self._rng.random((SAMPLES, len(self._keep))) < self._keep
        self._samples = [self._pattern(mask) for mask in self._masks]
        return [*self._samples, self._hard()]

    def tell(self, values: Mapping[Pattern, float]) -> None:
        losses = finite([values[pattern] for pattern in self._samples])
        self._baseline.append(float(losses.mean()))
        spread = losses.std() or 1.0
        gain = (losses - np.mean(self._baseline)) / spread
        masks = self._masks
        if REP:
            masks = np.array([[1-p.levels[i]/self.budget.space.parts[i].top for i in self._part] for p in self._samples])
        score = (masks - self._keep) / np.sqrt(self._keep * (1 - self._keep))
        self._keep = self._projected(self._keep - RATE * gain @ score / (SAMPLES - 1))

    def completion(self, values: Mapping[Pattern, float]) -> Pattern | None:
        """Every pattern asked meets the budget already."""
        return None

    def _pattern(self, keep: np.ndarray) -> Pattern:
        gone = np.bincount(self._part[~keep], minlength=len(self.budget.space.parts))
        return self.budget.repair(Pattern(tuple(gone.tolist())), self._rng)

    def _hard(self) -> Pattern:
        parts = self.budget.space.parts
        order = [np.zeros(part.top) for part in parts]
        for i in self.budget.space.free:
            order[i] = np.sort(self._keep[self._part == i])
        return self.budget.ranked(order)

    def _first(self, known: np.ndarray) -> np.ndarray:
        first = np.empty(len(known))
        for kind in set(self._kinds):
            mine = known[self._kinds == kind]
            first[self._kinds == kind] = 1 / (1 + np.exp(-(mine - mine.mean()) / (mine.std() or 1.0)))
        return first

    def _projected(self, keep: np.ndarray) -> np.ndarray:
        b = self.budget
        most = sum(b.gone(b.space.dense.with_level(i, b.space.parts[i].top)) for i in b.space.free)
        rate = 1 - b.need / most
        projected = np.empty(len(keep))
        for kind in set(self._kinds):
            mine = keep[self._kinds == kind]
            low, high = -2.0, 2.0
            for _ in range(50):
                shift = (low + high) / 2
                if np.clip(mine + shift, EDGE, 1 - EDGE).mean() < rate: low = shift
                else: high = shift
            projected[self._kinds == kind] = np.clip(mine + shift, EDGE, 1 - EDGE)
        return projected
