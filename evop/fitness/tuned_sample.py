"""A sample on which every pattern is trained a little before it is measured, anew at each fidelity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from evop.evaluator import Evaluator
from evop.fitness.fidelities import fidelities_of
from evop.fitness.sample import Sample
from evop.losses.table import LossTable
from evop.removal.cut import Cut
from evop.tokens.passages import TokenPassages
from patterns import Fidelity, Pattern
from patterns.strategies.darwin import STEPS


class Tuner(Protocol):
    """Trains what a cut leaves, on more text the larger the share."""

    def tokens(self, share: float) -> int:
        """Count the tokens that one cut is trained on."""

    def tuned(self, cut: Cut, share: float) -> Cut:
        """Return the cut with the weights that it has after training; the same ones every time."""


@dataclass(frozen=True)
class TunedSample(Sample):
    """Measures patterns with the weights that they have after a short training.

    What a smaller fidelity measured was of other weights, so that none continues another: a fidelity is all of its
    passages, and its tokens are those trained on and those scored.

    Attributes:
        tuner: trains.
    """

    tuner: Tuner | None = None

    @classmethod
    def of(cls, evaluator: Evaluator, passages: TokenPassages, tuner: Tuner) -> TunedSample:
        """Make a sample with the fidelities of DarwinLM's steps."""
        plain = fidelities_of(passages, [share for share, _ in STEPS])
        most = plain[-1].passages
        fidelities = tuple(
            replace(each, tokens=each.tokens + tuner.tokens(each.passages / most), anew=True) for each in plain
        )
        return cls(evaluator, passages, fidelities, tuner=tuner)

    @property
    def scored(self) -> int:
        """Number of tokens that a pattern scores when it is measured at all fidelities, training left out."""
        return sum(increment.total for increment in self._increments)

    def cut(self, pattern: Pattern, fidelity: Fidelity | None = None) -> Cut:
        """Train what a pattern leaves, as for a fidelity; None for the largest."""
        assert self.tuner is not None
        cut = self.evaluator.cut(pattern)
        share = (fidelity or self.full).passages / self.full.passages
        return self.tuner.tuned(cut, share) if cut.gone or cut.kept else cut

    def _measured(self, patterns: Sequence[Pattern], number: int, groups: Sequence[str]) -> list[LossTable]:
        cuts = [self.cut(pattern, self.fidelities[number]) for pattern in patterns]
        return self.evaluator.of_cuts(cuts, self._increments[number].only(groups))

    @cached_property
    def _increments(self) -> tuple[TokenPassages, ...]:
        return tuple(self.passages.take(range(each.passages)) for each in self.fidelities)

    def _numbers(self, fidelity: Fidelity) -> range:
        at = self.fidelities.index(fidelity)
        return range(at, at + 1)
