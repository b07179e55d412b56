"""A pool of passages on which patterns are measured once, passage by passage, and search samples drawn from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from evop.evaluator import Evaluator
from evop.fitness.fidelities import fidelities_of
from evop.fitness.fitness import Fitness
from evop.fitness.sample import Sample
from evop.losses.loss import Loss
from evop.losses.objectives import worst
from evop.losses.table import LossTable
from evop.tokens.passages import TokenPassages
from patterns import Pattern, PatternSpace

TOGETHER = 64
"""Patterns that are run together; neighbours in the order of the budget share their beginnings."""


class Measured:
    """Losses of patterns of one space, passage by passage; what is missing is measured when asked for.

    To a search it is an evaluator, if a quick one.

    Attributes:
        passages: the pool.
        path: where it is kept.
        evaluator: measures what is missing.
    """

    loss = Loss.named("nll")

    def __init__(self, passages: TokenPassages, path: Path, evaluator: Evaluator) -> None:
        self.passages, self.path, self.evaluator = passages, path, evaluator
        self._at = {ids: i for i, ids in enumerate(passages.ids)}
        self._loss: dict[Pattern, np.ndarray] = {}
        if path.is_file():
            with np.load(path, allow_pickle=False) as file:
                rows = zip(file["levels"].tolist(), file["loss"], strict=True)
                self._loss = {Pattern(tuple(levels)): loss for levels, loss in rows}
        self._measured = 0

    @property
    def space(self) -> PatternSpace:
        """Of the patterns."""
        return self.evaluator.space

    def losses(self, patterns: Sequence[Pattern], passages: TokenPassages) -> list[LossTable]:
        """The loss table of each pattern on some passages of the pool."""
        at = np.array([self._at[ids] for ids in passages.ids])
        missing: dict[tuple[int, ...], list[Pattern]] = {}
        for pattern in patterns:
            row = self._loss.setdefault(pattern, np.full(len(self.passages.ids), np.nan))
            missing.setdefault(tuple(at[np.isnan(row[at])].tolist()), []).append(pattern)
        for indices, these in missing.items():
            if indices:
                tables = self.evaluator.losses(these, self.passages.take(indices))
                for pattern, table in zip(these, tables, strict=True):
                    self._loss[pattern][list(indices)] = table.loss
                self._measured += len(these)
        return [LossTable(passages.groups, self._loss[pattern][at], passages.scored) for pattern in patterns]

    def whole(self, patterns: Iterable[Pattern]) -> None:
        """Measure patterns on the whole pool, and keep what was found now and then."""
        left = iter(patterns)
        while some := list(islice(left, TOGETHER)):
            self.losses(some, self.passages)
            self.save()

    def save(self) -> None:
        """Write what was measured since it was last written."""
        if self._measured:
            temporary = self.path.with_suffix(".tmp.npz")
            levels = np.array([pattern.levels for pattern in self._loss], dtype=np.int16)
            np.savez(temporary, levels=levels, loss=np.array(list(self._loss.values())))
            temporary.rename(self.path)
            self._measured = 0


def fitness_on(measured: Measured, passages: TokenPassages) -> Fitness:
    """What judges patterns on passages of a pool: the worst group's excess, as in a search."""
    sample = Sample(measured, passages, fidelities_of(passages))  # type: ignore[arg-type]
    return Fitness(sample, worst, {fidelity.passages: sample.dense(fidelity) for fidelity in sample.fidelities})


def draw(pool: TokenPassages, a_group: int, seed: int) -> TokenPassages:
    """A search sample: so many passages of every group, one of each, then another of each, and so on."""
    rng = np.random.default_rng(seed)
    groups = np.array(pool.groups)
    chosen = [rng.permutation(np.flatnonzero(groups == group))[:a_group] for group in dict.fromkeys(groups.tolist())]
    return pool.take(np.array(chosen).T.ravel().tolist())
