"""Significance of counts of right answers: intervals, the test of a change, the correction for many tests."""

from __future__ import annotations

from collections.abc import Sequence

SURE = 0.05
"""p-value, corrected for the number of groups, below which a group is called worse."""


def wilson(right: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Estimate the interval of a proportion, as fractions.

    Args:
        right: number of right answers.
        n: number of answers, at least 1.
        level: confidence that the interval holds the true proportion.

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
    """Test whether more was lost than won: the chance of so many lost or more, if each change went either way alike.

    One-sided, since the question is whether a group is worse: nothing is spent on groups that became better.

    Args:
        lost: number of questions right before and wrong after.
        won: number of questions wrong before and right after.

    Source: McNemar 1947, exact form: of the questions that changed, half are lost by chance.

    Example:
        >>> mcnemar(9, 1)
        0.0107421875
    """
    from scipy.stats import binomtest

    return float(binomtest(lost, lost + won, alternative="greater").pvalue) if lost + won else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Correct p-values for the number of tests, so that a level bounds the chance of any false alarm.

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
    """Say which of several groups lost more questions than they won, beyond chance.

    Args:
        changes: numbers of lost and of won questions, per group.

    Returns:
        Per group, McNemar's p-value, corrected for the number of groups, and whether the group is called worse.

    Example:
        >>> worse([(9, 1), (0, 12)])
        [(0.021484375, True), (1.0, False)]
    """
    return [(p, p < SURE) for p in holm([mcnemar(lost, won) for lost, won in changes])]
