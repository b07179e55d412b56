"""Counts of right answers: intervals, the test of a change, and what many tests allow to be said."""

from __future__ import annotations

from collections.abc import Sequence

SURE = 0.05
"""A group is called worse where so uneven a change, corrected for the number of groups, is less likely by chance."""


def wilson(right: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a proportion.

    Args:
        right: how many of them.
        n: how many, at least 1.
        level: of confidence.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    Example:
        >>> low, high = wilson(8, 10)
        >>> round(low, 3), round(high, 3)
        (0.49, 0.943)
    """
    from scipy.stats import binomtest

    interval = binomtest(right, n).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(lost: int, won: int) -> float:
    """How likely so uneven a change is where nothing changed: exact, two-sided.

    Args:
        lost: items right before and wrong after.
        won: items wrong before and right after.

    Source: McNemar 1947, exact form: of the items that changed, half are lost by chance.

    Example:
        >>> mcnemar(9, 1)
        0.021484375
    """
    from scipy.stats import binomtest

    return float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number, so that of all that are called worse none is by chance, at that level.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = largest
    return corrected


def worse(changes: Sequence[tuple[int, int]]) -> list[tuple[float, bool]]:
    """Which of several groups lost more than they won for more than chance.

    Args:
        changes: lost and won items of each.

    Returns:
        McNemar's p, corrected for their number, and whether it is worse.

    Example:
        >>> worse([(9, 1), (0, 12)])
        [(0.021484375, True), (0.0009765625, False)]
    """
    corrected = holm([mcnemar(lost, won) for lost, won in changes])
    return [(p, p < SURE and lost > won) for p, (lost, won) in zip(corrected, changes, strict=True)]
