"""Which budget is tried next: the largest that is within what is tolerated lies between two that were tried."""

from __future__ import annotations

from collections.abc import Collection

STEPS = 100
"""Budgets are tried in hundredths of what the budget counts."""
FIRST = 20
"""The first budget that is tried, in steps."""


def next_budget(within: Collection[int], beyond: Collection[int], first: int = FIRST) -> int | None:
    """Choose the next budget, in steps.

    As long as nothing was too much, twice as much is tried as was within what is tolerated; then the middle between
    what was and the least that was too much.

    Args:
        within: budgets at which no group surely loses more than it may.
        beyond: budgets that are too large, or that the model cannot meet.
        first: the budget to begin with.

    Returns:
        The budget to try; None when there is nothing between the two.

    Example:
        >>> next_budget([], []), next_budget([20], []), next_budget([20], [40]), next_budget([29, 20], [40, 30])
        (20, 40, 30, None)
    """
    low = max(within, default=0)
    high = min((budget for budget in beyond if budget > low), default=STEPS)
    if high - low <= 1:
        return None
    if high == STEPS:
        return first if low == 0 else min(max(2 * low, low + 1), STEPS - 1, (low + STEPS + 1) // 2)
    return (low + high) // 2


def next_healed(within: Collection[int], beyond: Collection[int], tried: Collection[int], edge: int) -> int | None:
    """Choose the next budget whose answer is healed, in steps: a healing is dear, so that few are far from the edge.

    The edge without healing comes first. As long as it is within, the next larger budgets that were tried follow, then
    a quarter more; between what was within and what was too much, the middle. Where healed even the edge is too much,
    smaller ones that were tried follow.

    Args:
        within: budgets whose healed answer is within what is tolerated.
        beyond: budgets whose healed answer is too much, or that the model cannot meet.
        tried: budgets that were searched.
        edge: the largest that is within what is tolerated without healing; 0 for none.

    Returns:
        The budget; None when there is nothing left to heal.

    Example:
        >>> next_healed([], [], [10, 16, 20], 16), next_healed([16], [], [10, 16, 20], 16)
        (16, 20)
        >>> next_healed([20], [], [10, 20], 16), next_healed([20], [25], [10, 20], 16), next_healed([], [16], [10], 16)
        (25, 22, 10)
    """
    low = max(within, default=0)
    high = min((budget for budget in beyond if budget > low), default=STEPS)
    between = [budget for budget in tried if low < budget < high]
    if not within:
        first = edge or min(tried, default=0)
        return first if first and first not in beyond else max(between, default=None)
    if between or high - low <= 1:
        return min(between, default=None)
    return min(low + max(1, low // 4), STEPS - 1) if high == STEPS else (low + high) // 2
