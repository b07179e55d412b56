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
