"""Power: the loss that a test would find, given how much was measured and how many groups are tested."""

from __future__ import annotations

from functools import cache

import numpy as np

from evop.losses.significance import SURE

POWER = 0.8
"""The chance with which a loss that is called detectable would be found."""
CHURN = 0.04
"""The share of questions whose answer changes by chance, either way, where nothing is known of it."""
STEPS = 1000
"""A loss of questions is found to a thousandth of them."""


@cache
def detectable_items(n: int, groups: int, churn: float = CHURN) -> float | None:
    """Find the smallest loss of right answers that would be called worse with a chance of ``POWER``.

    Exact: of the questions that change, as many are won as lost by chance, ``churn`` of all together; the loss comes
    on top. A group is called worse as in ``significance.worse`` at Holm's first step, that of the group with the
    smallest p-value, so that groups which are worse besides it are found a little sooner.

    Args:
        n: number of questions of the group.
        groups: number of groups that are tested together.
        churn: share of the questions that change by chance.

    Returns:
        The share of the questions; None where even the loss of all would not be found.

    Example:
        >>> detectable_items(24, 8, 0.02), detectable_items(100, 20, 0.06)
        (0.417, 0.171)
    """
    most = int(STEPS * (1 - churn / 2))
    low, high = 0, most
    if items_power(n, groups, churn, most / STEPS) < POWER:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if items_power(n, groups, churn, middle / STEPS) >= POWER else (middle, high)
    return high / STEPS


def items_power(n: int, groups: int, churn: float, drop: float) -> float:
    """Compute the chance that a group which loses so much is called worse.

    Args:
        n: number of questions of the group.
        groups: number of groups that are tested together.
        churn: share of the questions that change by chance, half of them either way.
        drop: share of the questions that are lost besides.
    """
    from scipy.stats import binom

    lost, won = min(1.0, churn / 2 + drop), min(churn / 2, 1 - drop - churn / 2)
    changed = np.arange(1, n + 1)
    # The fewest lost of so many changed that are called worse; more than can be lost where none are enough.
    fewest = binom.isf(SURE / groups, changed, 0.5) + 1
    found = binom.sf(fewest - 1, changed, lost / (lost + won)) if lost else np.zeros(n)
    return float(binom.pmf(changed, n, lost + won) @ found)


def detectable_mean(error: float, freedom: float, groups: int) -> float:
    """Find the smallest difference of a mean that would be called more than chance, with a chance of ``POWER``.

    Args:
        error: standard error of the mean.
        freedom: degrees of freedom of the error.
        groups: number of groups that are tested together, at Holm's first step.

    Returns:
        A difference in the unit of the error.

    Source: the power of a one-sided t-test, by the noncentral t distribution (Johnson and Welch 1940).

    Example:
        >>> round(detectable_mean(0.03, 11, 14), 3)
        0.127
    """
    from scipy.special import nctdtrinc
    from scipy.stats import t

    return float(error * nctdtrinc(freedom, 1 - POWER, t.isf(SURE / groups, freedom)))
