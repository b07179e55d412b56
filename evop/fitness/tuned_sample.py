"""A sample on which every pattern is trained a little before it is measured, anew at each fidelity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from evop.fitness.fidelities import fidelities_of
from evop.fitness.sample import Sample
from evop.losses.table import LossTable
from evop.removal.cut import Cut
from evop.tokens.passages import TokenPassages
from patterns import Fidelity, Pattern
from patterns.strategies.darwin import STEPS

LEAST = 1 / 20
"""Share of the text that is trained on before the smallest of several measurements: DarwinLM's first step trains on
10,000 tokens and its last on 200,000. Between them the share of the text is that of the sample."""


class Tuner(Protocol):
    """Trains what a cut leaves on a share of a text."""

    def tokens(self, share: float) -> int:
        """Count the tokens that one cut is trained on."""

    def tuned(self, cut: Cut, share: float) -> Cut:
        """Return the cut with the weights that it has after training; the same ones every time."""


def tuned_fidelities(passages: TokenPassages, tuner: Tuner) -> tuple[Fidelity, ...]:
    """List the fidelities of a sample at the shares of DarwinLM's steps; their tokens are trained on, or scored."""
    plain = fidelities_of(passages, [share for share, _ in STEPS])
    trained = [tuner.tokens(_share(each, plain)) for each in plain]
    return tuple(
        replace(each, tokens=each.tokens + more, trained=more) for each, more in zip(plain, trained, strict=True)
    )


@dataclass(frozen=True)
class TunedSample(Sample):
    """Measures patterns with the weights that they have after a short training.

    What a smaller fidelity measured was of other weights, so that none continues another: a fidelity is all of its
    passages, and its tokens are those trained on and those scored.

    Attributes:
        tuner: trains.
    """

    tuner: Tuner | None = None

    def cut(self, pattern: Pattern, fidelity: Fidelity | None = None) -> Cut:
        """Train what a pattern leaves, as for a fidelity; None for the largest."""
        assert self.tuner is not None
        cut = self.evaluator.cut(pattern)
        return self.tuner.tuned(cut, _share(fidelity or self.full, self.fidelities)) if cut.gone or cut.kept else cut

    def _measured(self, patterns: Sequence[Pattern], number: int, groups: Sequence[str]) -> list[LossTable]:
        passages = self._increments[number].only(groups)
        # One by one: each has weights of its own, and all of them at once would be as many models.
        cuts = (self.cut(pattern, self.fidelities[number]) for pattern in patterns)
        return [table for cut in cuts for table in self.evaluator.of_cuts([cut], passages)]

    @cached_property
    def _increments(self) -> tuple[TokenPassages, ...]:
        return tuple(self.passages.take(range(each.passages)) for each in self.fidelities)

    def _numbers(self, fidelity: Fidelity) -> range:
        at = self.fidelities.index(fidelity)
        return range(at, at + 1)


def _share(fidelity: Fidelity, every: Sequence[Fidelity]) -> float:
    """Say which share of the text is trained on before a measurement."""
    share = fidelity.passages / every[-1].passages
    return LEAST if share < 1 and fidelity.passages == every[0].passages else share
