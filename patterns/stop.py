"""How long a search may go."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Stop:
    """How long a search may go; None is no limit. It is not part of what the search is.

    Attributes:
        evaluations: distinct patterns measured at most, at whatever fidelity.
        tokens: passage tokens scored at most.
        minutes: wall-clock minutes of this process at most.
        interrupted: set from outside (a signal handler) to stop after the batch in flight.
    """

    evaluations: int | None = None
    tokens: int | None = None
    minutes: float | None = None
    interrupted: bool = False
    _begun: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> str | None:
        """Why to stop at once, whatever was measured so far; or None."""
        if self.interrupted:
            return "interrupted"
        if self.minutes is not None and time.monotonic() - self._begun > 60 * self.minutes:
            return "minutes"
        return None

    def reason(self, evaluations: int, tokens: int, next_tokens: int) -> str | None:
        """Why to stop now, or None.

        Args:
            evaluations: patterns measured so far.
            tokens: tokens scored so far.
            next_tokens: what one more pattern would add.
        """
        if self.interrupted:
            return "interrupted"
        if self.evaluations is not None and evaluations >= self.evaluations:
            return "evaluations"
        if self.tokens is not None and tokens + next_tokens > self.tokens:
            return "tokens"
        return self.over

    def share(self, evaluations: int, tokens: int) -> float | None:
        """Which fraction of the search is over, by the limit that is nearest; None without a limit."""
        shares = []
        if self.evaluations:
            shares.append(evaluations / self.evaluations)
        if self.tokens:
            shares.append(tokens / self.tokens)
        if self.minutes:
            shares.append((time.monotonic() - self._begun) / (60 * self.minutes))
        return min(1.0, max(shares)) if shares else None
