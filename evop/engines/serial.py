"""The engine that measures in this process, with the model that is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evop.fitness.fitness import Fitness
from evop.recipes.search import SearchRecipe
from patterns import Measurement, Request, Stop


class _Stopped(Exception):  # noqa: N818 - not an error
    """Says that a limit was reached, or Ctrl-C pressed, between two batches."""


class SerialEngine:
    """Measures in this process.

    Args:
        recipe: not used; every engine is built with the same three.
        fitness: judges the patterns.
        report: not used.
    """

    def __init__(self, recipe: SearchRecipe, fitness: Fitness, report: Callable[[str], None]) -> None:
        self._fitness = fitness

    def measure(self, request: Request, order: Sequence[str], stop: Stop) -> list[Measurement]:
        """Measure all patterns together; ends between two batches where the search is over."""

        def tick() -> None:
            if stop.over:
                raise _Stopped

        try:
            with self._fitness.sample.evaluator.ticking(tick):
                return list(self._fitness(request.patterns, request.fidelity, request.bounds, order))
        except _Stopped:
            return []

    def close(self) -> None:
        """Free nothing: the finalists are measured with the same model."""
