"""What a search has measured, what it cost, and what is still worth measuring."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from patterns.budget import Budget
from patterns.part import Pattern
from patterns.stop import Stop
from patterns.trials import Measurement, Trial

FINALISTS = 8
"""Number of the best patterns that are measured again on ``select``."""
Reserve = Callable[[int], int]
"""Number of finalists -> tokens to keep for the end of the search."""


@dataclass(frozen=True)
class Fidelity:
    """How much of the search sample a pattern is measured on: a prefix of its fixed order.

    Attributes:
        passages: number of passages.
        tokens: number of tokens they score, and of those that a pattern is trained on.
        by_group: tokens scored per group; empty where the sample is not divided.
        trained: how many of ``tokens`` a pattern is trained on before it is measured. What is trained is another model
            each time, so that no measurement continues another: each takes all of ``tokens``.
    """

    passages: int
    tokens: int
    by_group: Mapping[str, int] = field(default_factory=dict)
    trained: int = 0

    def groups(self, measurement: Measurement | None = None) -> Mapping[str, int]:
        """Return the tokens per group; of the groups that were finished, for a measurement that stopped early."""
        everything = self.by_group or {"": self.tokens}
        if measurement is None or not measurement.at_least:
            return everything
        return {group: everything[group] for group in measurement.losses}


@dataclass(frozen=True)
class Request:
    """Patterns that are to be measured together.

    Attributes:
        round: number of the strategy's round, from 0.
        patterns: the patterns to measure.
        fidelity: how much of the sample they are measured on.
        bounds: one value per pattern; the measurement of a pattern that is certain to be worse may stop early.
    """

    round: int
    patterns: Sequence[Pattern]
    fidelity: Fidelity
    bounds: Sequence[float]

    def first(self, count: int) -> Request:
        """Return the request for its first ``count`` patterns."""
        return replace(self, patterns=self.patterns[:count], bounds=self.bounds[:count])

    def rest(self, count: int) -> Request:
        """Return the request for all but its first ``count`` patterns."""
        return replace(self, patterns=self.patterns[count:], bounds=self.bounds[count:])


class Ledger:
    """Keeps the account of one search: what was measured, the tokens spent, and what is worth measuring next.

    Args:
        budget: decides which trials count.
        fidelities: the fidelities there are, ascending; the last is the whole sample.
        spent: tokens spent outside the trials.
        reserve: number of finalists -> tokens that their choice will take; with none, what completing will.
        on_trial: is called with every trial.
    """

    def __init__(
        self,
        budget: Budget,
        fidelities: Sequence[Fidelity],
        spent: int,
        reserve: Reserve,
        on_trial: Callable[[Trial], None],
    ) -> None:
        self.budget = budget
        self.measured: dict[tuple[Pattern, int], Measurement] = {}
        self._full, self._tokens = fidelities[-1].passages, spent
        self._reserve, self._on_trial = reserve, on_trial
        self._charged: dict[Pattern, dict[str, int]] = {}
        self._fidelities = {fidelity.passages: fidelity for fidelity in fidelities}
        self._best: list[float] = []

    def enter(self, trial: Trial) -> None:
        """Enter one more trial, measured or replayed."""
        measurement = trial.measurement
        self.measured[trial.pattern, trial.fidelity] = measurement
        charged = self._charged.setdefault(trial.pattern, {})
        for group, tokens in self._fidelities[trial.fidelity].groups(measurement).items():
            charged[group] = max(tokens, charged.get(group, 0))
        self._tokens += measurement.tokens
        if trial.met and trial.fidelity == self._full and measurement.whole:
            self._best = sorted([*self._best, trial.value])[:FINALISTS]
        self._on_trial(trial)

    def charge(self, pattern: Pattern, fidelity: Fidelity, measurement: Measurement | None = None) -> int:
        """Return the tokens of a measurement that no earlier one of the same pattern has scored.

        Args:
            pattern: the pattern measured.
            fidelity: the fidelity of the measurement.
            measurement: the measurement; None for the most that it can score.
        """
        if fidelity.trained:
            return 0 if (pattern, fidelity.passages) in self.measured else fidelity.tokens
        charged = self._charged.get(pattern, {})
        return sum(max(0, tokens - charged.get(group, 0)) for group, tokens in fidelity.groups(measurement).items())

    def request(
        self, number: int, asked: Sequence[Pattern], part: Sequence[Pattern], fidelity: Fidelity, survivors: int | None
    ) -> Request:
        """Return what is still to be measured of a part of a round, with bounds.

        Args:
            number: the number of the round.
            asked: all patterns of the round.
            part: the patterns of the part.
            fidelity: how much of the sample the round is measured on.
            survivors: number of the round's best that matter; None for all.
        """
        best = self._last_survivor(asked, fidelity, survivors)
        bounds = {pattern: max(best, self._last_finalist(pattern, fidelity)) for pattern in part}
        missing = [pattern for pattern in part if self._unsettled(pattern, fidelity, bounds[pattern])]
        return Request(number, missing, fidelity, [bounds[pattern] for pattern in missing])

    def room(self, stop: Stop, request: Request) -> tuple[int, str | None]:
        """Return how many patterns of a request fit within the limits, and, where none does, why."""
        # Reckoned as if every measurement went to its end: the limits hold whatever the measurements turn out to cost.
        # So is the end: with every finalist more, more is kept for it; what no finalist will take is there to be spent.
        tokens, count, patterns, finalists = self._tokens, 0, len(self._charged), len(self._best)
        for pattern in request.patterns:
            finalists += request.fidelity.passages == self._full and self.budget.met(pattern)
            kept = self._reserve(min(finalists, FINALISTS))
            # A larger fidelity for a pattern that was measured before is no further evaluation.
            known = pattern in self._charged
            following = self.charge(pattern, request.fidelity)
            if reason := stop.reason(patterns - known, tokens + kept, following):
                return count, None if count else reason
            tokens, count, patterns = tokens + following, count + 1, patterns + (not known)
        return count, None

    def _last_survivor(self, asked: Sequence[Pattern], fidelity: Fidelity, survivors: int | None) -> float:
        """Return the value beyond which a pattern of the round cannot be among the survivors."""
        if survivors is None:
            return math.inf
        measured = (self.measured.get((pattern, fidelity.passages)) for pattern in dict.fromkeys(asked))
        values = sorted(measurement.value for measurement in measured if measurement and measurement.whole)
        return values[survivors - 1] if len(values) >= survivors else math.inf

    def _last_finalist(self, pattern: Pattern, fidelity: Fidelity) -> float:
        """Return the value beyond which a pattern cannot be among the finalists."""
        if fidelity.passages < self._full or not self.budget.met(pattern):
            return -math.inf
        return self._best[-1] if len(self._best) == FINALISTS else math.inf

    def _unsettled(self, pattern: Pattern, fidelity: Fidelity, bound: float) -> bool:
        """Return whether a pattern was not measured at a fidelity, or stopped too early to tell by a bound."""
        known = self.measured.get((pattern, fidelity.passages))
        return known is None or (known.at_least and known.value <= bound)
