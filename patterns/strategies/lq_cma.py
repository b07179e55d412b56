"""CMA-ES with pycma's own surrogate: linear and quadratic models of what was measured rank most offspring."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping

import numpy as np
from cma.fitness_models import SurrogatePopulation

from patterns.budget import Budget
from patterns.part import Pattern
from patterns.strategies.cma import CMA, CMASettings


class _UnmeasuredError(Exception):
    """A pattern whose value is not known yet."""

    def __init__(self, pattern: Pattern) -> None:
        super().__init__()
        self.pattern = pattern


class LQCMA(CMA):
    """lq-CMA-ES: of a generation, as many offspring are measured as it takes for a model to rank them reliably.

    The model is linear at first, then diagonal, then a full quadratic of the preferences; its optimum is injected.
    pycma decides offspring by offspring what is measured, so that each round asks for one pattern. pycma calls for
    values where this search is told them: a generation is gone through from its beginning each time a value that was
    missing is there, which changes nothing, since it draws no random numbers.

    Source: Hansen, "A global surrogate assisted CMA-ES" (2019), by the pycma library.
    """

    def __init__(self, budget: Budget, seed: int, *, settings: CMASettings | None = None) -> None:
        self._known: dict[Pattern, float] = {}
        super().__init__(budget, seed, settings=settings)

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Take the value just asked, and go on to the next that is missing."""
        if self._asked is self._probes:
            super().tell(values)
            return
        self._known.update(values)
        if self._ranked:
            self._next()
        else:
            self._advance()

    def _start(self, mean: np.ndarray) -> None:
        # A model of other steps than the engine's would mislead it.
        self._surrogate = SurrogatePopulation(None)
        super()._start(mean)

    def _sample(self) -> None:
        super()._sample()
        self._ranked = False
        self._advance()

    def _advance(self) -> None:
        """Rank the offspring as far as values are known; ask for the next value, or sample a generation."""
        surrogate = copy.deepcopy(self._surrogate)
        surrogate.fitness = self._value
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of values that are all alike, no correlation can be told
                ranks = surrogate([np.array(x) for x in self._offspring])
        except _UnmeasuredError as missing:
            self._asked = [missing.pattern]
            return
        surrogate.fitness = None
        self._surrogate = surrogate
        measured = [pattern for pattern in self._population if pattern in self._known]
        self._note({pattern: self._known[pattern] for pattern in measured})
        self._teach(list(ranks))
        if np.isfinite(surrogate.model.xopt).all():
            self._engine.inject([surrogate.model.xopt])
        # A generation without a new pattern is a round too, so that a search that finds no more comes to its end.
        self._ranked, self._asked = True, measured[:1]

    def _value(self, x: np.ndarray) -> float:
        """Return the value of preferences; a failed measurement is worse than all others.

        Raises:
            _UnmeasuredError: it is not known yet.
        """
        pattern = self._decode(x)
        if pattern not in self._known:
            raise _UnmeasuredError(pattern)
        finite = [value for value in self._known.values() if np.isfinite(value)]
        return min(self._known[pattern], max(finite, default=0.0) + 1.0)
