"""The progress of a healing, for whoever shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evop.recovery.healing.loop import Step
from evop.searching.time_left import TimeLeft


@dataclass(frozen=True)
class HealProgress:
    """Says where a healing stands.

    Attributes:
        tokens: tokens learned from.
        share: these as a share of all that will be at most.
        worst_group: label of the group that loses most, at the last look.
        worst: its excess, in nats per token.
        seconds_left: estimated seconds until the tokens end, the least and the most; None where too little is known.
    """

    tokens: int
    share: float
    worst_group: str
    worst: float
    seconds_left: tuple[float, float] | None


HealWatch = Callable[[HealProgress], None]


class HealMeter:
    """Turns steps into progress.

    Args:
        labels: group key -> what a person reads.
        watch: is shown the progress.
    """

    def __init__(self, labels: Mapping[str, str], watch: HealWatch) -> None:
        self.labels, self.watch = labels, watch
        self._left = TimeLeft()

    def __call__(self, step: Step) -> None:
        """Show where the healing stands after a step."""
        now = time.monotonic()
        self._left.mark(step.share, now)
        worst = max(step.excess, key=lambda group: step.excess[group])
        left = self._left.estimate(now)
        self.watch(HealProgress(step.tokens, step.share, self.labels[worst], step.excess[worst], left))
