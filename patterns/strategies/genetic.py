"""EvoP's genetic algorithm."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from patterns.budget import Budget
from patterns.errors import PatternError
from patterns.part import Pattern

POPULATION = 50
GENERATIONS = 100
TOURNAMENT = 3
"""Patterns that meet in a tournament."""
MUTATION = 0.001
"""Probability that a gene mutates."""


def refuse_elitism(elitism: int | None) -> None:
    """Check how many patterns are to go over unchanged.

    Raises:
        PatternError: a negative number, or all of a generation.
    """
    if elitism is not None and not 0 <= elitism < POPULATION:
        raise PatternError(f"elitism must lie in 0 .. {POPULATION - 1} (patterns of {POPULATION}), found {elitism}")


class Genetic:
    """Breeds by tournaments, two-point crossover, rare mutation, and random repair to the budget.

    At whole layers under ``any``, with nothing protected, this is EvoP's search as released: 50 patterns, 100
    generations, random bits repaired to the budget; then tournaments of 3 with replacement fill the population,
    row i is crossed with row i + 25 between two cuts, so that the last gene is never exchanged, every bit flips
    with probability 0.001, and random bits are repaired. No pattern goes over unchanged, and the children of the
    last generation are never scored. Elsewhere it is EvoP's operators with budget repair: genes are the levels of
    the parts that may go, and a mutation draws another level.

    Two things are not EvoP's: a pattern is measured once, and the search loop ends a search that has asked for
    nothing new for many rounds.

    Source: EvoP (arXiv 2502.14910), pattern search, as in its code, which runs scikit-opt's GA.

    Attributes:
        elitism: number of a generation's best distinct patterns that go over unchanged; EvoP: 0.
        patience: number of generations without a better pattern after which the search ends; EvoP: None, never.

    Raises:
        PatternError: ``elitism`` or ``patience`` out of range.
    """

    finishes = True
    fidelity = 1.0
    survivors: int | None = None

    def __init__(self, budget: Budget, seed: int, *, elitism: int = 0, patience: int | None = None) -> None:
        refuse_elitism(elitism)
        if patience is not None and patience < 1:
            raise PatternError(f"patience must be at least 1 generation, found {patience}")
        self.budget = budget
        self.elitism, self.patience = elitism, patience
        self._rng = np.random.default_rng(seed)
        self._free = list(budget.space.free)
        self._tops = np.array([budget.space.parts[i].top for i in self._free])
        self._population: list[Pattern] = []
        self._generation, self._stale, self._best = 0, 0, math.inf

    def ask(self) -> list[Pattern]:
        """Return one generation; nothing when the last was told."""
        if not self._population:
            self._population = self._repaired(self._rng.integers(0, self._tops + 1, (POPULATION, len(self._free))))
        over = self._generation == GENERATIONS or (self.patience is not None and self._stale >= self.patience)
        return [] if over else list(self._population)

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Breed the next generation."""
        scores = np.array([values[pattern] for pattern in self._population])
        self._generation += 1
        self._stale = 0 if scores.min() < self._best else self._stale + 1
        self._best = min(self._best, float(scores.min()))
        elite = sorted(dict.fromkeys(self._population), key=lambda pattern: values[pattern])[: self.elitism]
        genes = np.array([[pattern.levels[i] for i in self._free] for pattern in self._population])
        chosen = genes[tournament(scores, self._rng)]
        children = self._repaired(mutate(cross(chosen, self._rng), self._tops, self._rng))
        self._population = [*children[: POPULATION - len(elite)], *elite]

    def begin_from(self, values: Mapping[Pattern, float]) -> None:
        """Put these patterns into the first generation, in the place of random ones."""
        self.ask()
        self._population = [*values, *self._population][:POPULATION]

    def completions(self, values: Mapping[Pattern, float]) -> list[Pattern]:
        """Return none: every pattern asked meets the budget already."""
        return []

    def _repaired(self, genes: np.ndarray) -> list[Pattern]:
        """Return rows of genes, int [rows, free parts], as patterns brought to the budget."""
        rows = np.zeros((len(genes), len(self.budget.space.parts)), dtype=int)
        rows[:, self._free] = genes
        return [self.budget.repair(Pattern(tuple(row)), self._rng) for row in rows.tolist()]


def tournament(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the rows that win a tournament, as many as there are, drawn with replacement; the smallest score wins.

    Args:
        scores: float [rows].
        rng: draws who meets.

    Returns:
        int [rows].
    """
    met = rng.integers(0, len(scores), (len(scores), TOURNAMENT))
    return met[np.arange(len(met)), scores[met].argmin(axis=1)]


def cross(genes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exchange the genes between two cuts of each row of the first half and its row of the second half.

    Both cuts are drawn from 0 .. genes - 1 and the end is exclusive, as in scikit-opt: the last gene stays.

    Args:
        genes: int [rows, genes].
        rng: draws the cuts.

    Returns:
        int [rows, genes], the children.
    """
    half, length = len(genes) // 2, genes.shape[1]
    cuts = np.sort(rng.integers(0, length, (half, 2)), axis=1)
    at = np.arange(length)
    exchanged = (at >= cuts[:, :1]) & (at < cuts[:, 1:])
    first, second = genes[:half], genes[half : 2 * half]
    return np.concatenate([np.where(exchanged, second, first), np.where(exchanged, first, second), genes[2 * half :]])


def mutate(genes: np.ndarray, tops: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn genes, rarely, into another level of their part: a bit flips.

    Args:
        genes: int [rows, genes].
        tops: int [genes], the last level of each gene.
        rng: draws which, and to what.

    Returns:
        int [rows, genes], mutated.
    """
    other = (genes + rng.integers(1, tops + 1, genes.shape)) % (tops + 1)
    return np.where(rng.random(genes.shape) < MUTATION, other, genes)
