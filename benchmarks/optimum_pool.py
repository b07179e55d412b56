"""A pool of passages on which patterns are measured once, passage by passage, and search samples drawn from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evop.efforts import efforts_of
from evop.losses import LossTable
from evop.tokens import TokenPassages
from patterns import Effort, Measurement, Pattern

Engine = Callable[[list[Pattern], TokenPassages], Iterable[LossTable]]
"""What measures patterns on passages: ``Evaluator.losses``."""


class Measured:
    """Losses of patterns of one space, passage by passage; what is missing is measured when asked for.

    Attributes:
        passages: the pool.
        path: where it is kept.
        engine: measures what is missing.
    """

    def __init__(self, passages: TokenPassages, path: Path, engine: Engine) -> None:
        self.passages, self.path, self.engine = passages, path, engine
        self._loss: dict[Pattern, np.ndarray] = {}
        if path.is_file():
            with np.load(path, allow_pickle=False) as file:
                rows = zip(file["levels"].tolist(), file["loss"], strict=True)
                self._loss = {Pattern(tuple(levels)): loss for levels, loss in rows}
        self._measured = 0

    def __call__(self, pattern: Pattern, passages: np.ndarray) -> np.ndarray:
        """Summed loss of some passages under a pattern, float64 [passages]; ``passages`` are indices of the pool."""
        row = self._loss.setdefault(pattern, np.full(len(self.passages.ids), np.nan))
        missing = passages[np.isnan(row[passages])].tolist()
        if missing:
            (table,) = self.engine([pattern], self.passages.take(missing))
            row[missing] = table.loss
            self._measured += 1
        return row[passages]

    def whole(self, patterns: Iterable[Pattern]) -> None:
        """Measure patterns on the whole pool, and keep what was found now and then."""
        everything = np.arange(len(self.passages.ids))
        for number, pattern in enumerate(patterns):
            self(pattern, everything)
            if number % 200 == 199:
                self.save()

    def save(self) -> None:
        """Write what was measured since it was last written."""
        if self._measured:
            temporary = self.path.with_suffix(".tmp.npz")
            levels = np.array([pattern.levels for pattern in self._loss], dtype=np.int16)
            np.savez(temporary, levels=levels, loss=np.array(list(self._loss.values())))
            temporary.rename(self.path)
            self._measured = 0


@dataclass(frozen=True)
class Drawn:
    """A search sample drawn from the pool, and what judges patterns on it: the worst group's excess.

    Attributes:
        measured: the losses.
        passages: indices of the pool, in a group-balanced order, int64 [passages].
        dense: the dense pattern.
    """

    measured: Measured
    passages: np.ndarray
    dense: Pattern

    @classmethod
    def draw(cls, measured: Measured, dense: Pattern, a_group: int, seed: int) -> Drawn:
        """So many passages of every group: one of each, then another of each, and so on."""
        rng = np.random.default_rng(seed)
        groups = np.array(measured.passages.groups)
        chosen = [
            rng.permutation(np.flatnonzero(groups == group))[:a_group] for group in dict.fromkeys(groups.tolist())
        ]
        return cls(measured, np.array(chosen).T.ravel(), dense)

    @property
    def efforts(self) -> tuple[Effort, ...]:
        """As those of a search."""
        return efforts_of(self.measured.passages.take(self.passages.tolist()))

    def excess(self, pattern: Pattern, passages: int | None = None) -> dict[str, float]:
        """Excess loss of each group on the first passages of the sample, nats a token."""
        mine = self.passages[:passages]
        over = self.measured(pattern, mine) - self.measured(self.dense, mine)
        groups = [self.measured.passages.groups[i] for i in mine]
        total: dict[str, float] = dict.fromkeys(groups, 0.0)
        tokens = dict.fromkeys(groups, 0)
        for group, value, count in zip(groups, over, self.measured.passages.scored[mine], strict=True):
            total[group] += float(value)
            tokens[group] += int(count)
        return {group: total[group] / tokens[group] for group in total}

    def value(self, pattern: Pattern) -> float:
        """The worst group's excess on the whole sample."""
        return max(self.excess(pattern).values())

    def __call__(self, patterns: Sequence[Pattern], effort: Effort) -> Iterator[Measurement]:
        """Measure, as the search loop asks for it."""
        for pattern in patterns:
            found = self.excess(pattern, effort.passages)
            yield Measurement(max(found.values()), found, effort.tokens)
