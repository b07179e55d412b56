"""How long a search may go."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Stop:
    """The limits of a search; None is no limit. They are not part of its identity: a larger limit extends a search.

    Attributes:
        evaluations: number of distinct patterns measured at most, at whatever fidelity.
        tokens: number of passage tokens scored at most.
        minutes: wall-clock minutes that this process searches at most.
        interrupted: whether to stop after the batch in flight; set from outside (a signal handler).
    """

    evaluations: int | None = None
    tokens: int | None = None
    minutes: float | None = None
    interrupted: bool = False
    _begun: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> str | None:
        """The reason to stop at once, whatever was measured so far; or None."""
        if self.interrupted:
            return "interrupted"
        if self.minutes is not None and time.monotonic() - self._begun > 60 * self.minutes:
            return "minutes"
        return None

    def reason(self, evaluations: int, tokens: int, next_tokens: int) -> str | None:
        """Return the reason to stop now, or None.

        Args:
            evaluations: number of patterns measured so far.
            tokens: number of tokens scored so far.
            next_tokens: number of tokens that one more pattern would add.
        """
        if self.interrupted:
            return "interrupted"
        if self.evaluations is not None and evaluations >= self.evaluations:
            return "evaluations"
        if self.tokens is not None and tokens + next_tokens > self.tokens:
            return "tokens"
        return self.over

    def share(self, evaluations: int, tokens: int) -> float | None:
        """Return which fraction of the search is over, by the limit that is nearest; None without a limit."""
        shares = []
        if self.evaluations:
            shares.append(evaluations / self.evaluations)
        if self.tokens:
            shares.append(tokens / self.tokens)
        if self.minutes:
            shares.append((time.monotonic() - self._begun) / (60 * self.minutes))
        return min(1.0, max(shares)) if shares else None
