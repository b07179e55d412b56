"""How long a search still takes, once what it has measured says so."""

from __future__ import annotations

FEWEST_PIECES = 4
"""Pieces of work that an estimate stands on at least, two in each half."""
LEAST_SHARE = 0.05
"""Share of the limit that an estimate stands on at least."""
WIDEST = 3.0
"""An estimate is not given while its halves differ by more than this factor: it would say nothing."""


class TimeLeft:
    """Estimates the time until a search's limit from the pieces of work it has done in this process.

    A piece is what is measured together. Pieces cost differently: the first fill caches, some patterns are given up
    early, fidelities change. So the older and the newer half of the pieces are asked apart for the seconds that the
    whole limit takes at their pace, and the two answers are the range.
    """

    def __init__(self) -> None:
        self._marks: list[tuple[float, float]] = []

    def mark(self, share: float | None, now: float) -> None:
        """Note the beginning of a piece, and so the end of the one before.

        Args:
            share: fraction of the limit that is used up; None where there is no limit.
            now: seconds by a clock that only goes forward.
        """
        if share is not None:
            self._marks.append((share, now))

    def estimate(self, now: float) -> tuple[float, float] | None:
        """Estimate the seconds left, the least and the most; None as long as too little is known."""
        if len(self._marks) <= FEWEST_PIECES:
            return None
        (first, begun), (last, ended) = self._marks[0], self._marks[-1]
        share, at = self._marks[len(self._marks) // 2]
        older, newer = share - first, last - share
        if min(older, newer) <= 0 or last - first < LEAST_SHARE:
            return None
        low, high = sorted(((at - begun) / older, (ended - at) / newer))
        if high > WIDEST * low:
            return None
        gone = now - ended
        return max(0.0, low * (1 - last) - gone), max(0.0, high * (1 - last) - gone)
