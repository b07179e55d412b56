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
"""So many of the best are measured again on ``select``."""


@dataclass(frozen=True)
class Fidelity:
    """How much of the search sample a pattern is measured on: a prefix of its fixed order.

    Attributes:
        passages: how many passages.
        tokens: how many tokens they score.
        by_group: tokens of each group; empty where the sample is not divided.
    """

    passages: int
    tokens: int
    by_group: Mapping[str, int] = field(default_factory=dict)

    def groups(self, measurement: Measurement | None = None) -> Mapping[str, int]:
        """Tokens of each group; of those that were finished, for a measurement that was cut."""
        everything = self.by_group or {"": self.tokens}
        if measurement is None or not measurement.at_least:
            return everything
        return {group: everything[group] for group in measurement.losses}


@dataclass(frozen=True)
class Request:
    """What is to be measured together.

    Attributes:
        round: of the strategy.
        patterns: the patterns.
        fidelity: how much of the sample.
        bounds: for each pattern, a value: one that is certain to be worse need not be measured to its end.
    """

    round: int
    patterns: Sequence[Pattern]
    fidelity: Fidelity
    bounds: Sequence[float]

    def first(self, count: int) -> Request:
        """The first so many patterns."""
        return replace(self, patterns=self.patterns[:count], bounds=self.bounds[:count])

    def rest(self, count: int) -> Request:
        """All but the first so many."""
        return replace(self, patterns=self.patterns[count:], bounds=self.bounds[count:])


class Ledger:
    """The account of one search.

    Args:
        budget: decides which trials count.
        fidelities: ascending; the last is the whole sample.
        spent: tokens spent or set aside outside the trials.
        on_trial: called for every trial.
    """

    def __init__(
        self, budget: Budget, fidelities: Sequence[Fidelity], spent: int, on_trial: Callable[[Trial], None]
    ) -> None:
        self.budget = budget
        self.measured: dict[tuple[Pattern, int], Measurement] = {}
        self._full, self._tokens, self._on_trial = fidelities[-1].passages, spent, on_trial
        self._charged: dict[Pattern, dict[str, int]] = {}
        self._efforts = {fidelity.passages: fidelity for fidelity in fidelities}
        self._best: list[float] = []

    def enter(self, trial: Trial) -> None:
        """One more trial, measured or replayed."""
        found = trial.measurement
        self.measured[trial.pattern, trial.fidelity] = found
        charged = self._charged.setdefault(trial.pattern, {})
        for group, tokens in self._efforts[trial.fidelity].groups(found).items():
            charged[group] = max(tokens, charged.get(group, 0))
        self._tokens += found.tokens
        if trial.met and trial.fidelity == self._full and found.whole:
            self._best = sorted([*self._best, trial.value])[:FINALISTS]
        self._on_trial(trial)

    def charge(self, pattern: Pattern, fidelity: Fidelity, measurement: Measurement | None = None) -> int:
        """Tokens a measurement scores that no earlier one of the same pattern has scored; at most, where it is None."""
        charged = self._charged.get(pattern, {})
        return sum(max(0, tokens - charged.get(group, 0)) for group, tokens in fidelity.groups(measurement).items())

    def request(
        self, number: int, asked: Sequence[Pattern], part: Sequence[Pattern], fidelity: Fidelity, keep: int | None
    ) -> Request:
        """What of a part of a round is to be measured, and against which bounds.

        Args:
            number: of the round.
            asked: the whole round.
            part: some of it.
            fidelity: at which it is measured.
            keep: how many of the round's best matter; None for all.
        """
        best = self._kth_best(asked, fidelity, keep)
        bounds = {pattern: max(best, self._to_be_finalist(pattern, fidelity)) for pattern in part}
        missing = [pattern for pattern in part if self._unsettled(pattern, fidelity, bounds[pattern])]
        return Request(number, missing, fidelity, [bounds[pattern] for pattern in missing])

    def room(self, stop: Stop, request: Request) -> tuple[int, str | None]:
        """How many patterns of a request fit within the limits, and, where it is none, why."""
        tokens, count, patterns = self._tokens, 0, len(self._charged)
        for pattern in request.patterns:
            # A larger fidelity for a pattern that was measured before is no further evaluation.
            known = pattern in self._charged
            following = self.charge(pattern, request.fidelity)
            if reason := stop.reason(patterns - known, tokens, following):
                return count, None if count else reason
            tokens, count, patterns = tokens + following, count + 1, patterns + (not known)
        return count, None

    def _kth_best(self, asked: Sequence[Pattern], fidelity: Fidelity, keep: int | None) -> float:
        if keep is None:
            return math.inf
        found = (self.measured.get((pattern, fidelity.passages)) for pattern in dict.fromkeys(asked))
        values = sorted(measurement.value for measurement in found if measurement and measurement.whole)
        return values[keep - 1] if len(values) >= keep else math.inf

    def _to_be_finalist(self, pattern: Pattern, fidelity: Fidelity) -> float:
        """The value beyond which a pattern cannot be among the finalists."""
        if fidelity.passages < self._full or not self.budget.met(pattern):
            return -math.inf
        return self._best[-1] if len(self._best) == FINALISTS else math.inf

    def _unsettled(self, pattern: Pattern, fidelity: Fidelity, bound: float) -> bool:
        found = self.measured.get((pattern, fidelity.passages))
        return found is None or (found.at_least and found.value <= bound)
