"""How much is learned from each group: alike, more where more is lost, or the worse half alone. Numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from evop.losses.objectives import TAIL

MIXED_IN = 0.1
"""Share of the weights that is spread evenly over all groups, at every update."""


def uniform(weights: Mapping[str, float], excess: np.ndarray, error: np.ndarray, eta: float) -> dict[str, float]:
    """Learn from all groups alike."""
    return dict.fromkeys(weights, 1 / len(weights))


def by_excess(weights: Mapping[str, float], excess: np.ndarray, error: np.ndarray, eta: float) -> dict[str, float]:
    """Learn more from a group the more it still loses: ``w ~ w exp(eta max(excess - error, 0))``.

    The excess counts as far as it surely is one: less its standard error, and never below nothing, so that neither
    noise nor a group which is better than the dense model moves the others. A tenth is mixed in evenly at each update,
    and what is mixed is what the next update begins with: where the excesses are alike the weights go back to even
    ones, and no group is ever left out.

    Args:
        weights: group key -> weight before, together 1.
        excess: excess of each group, float64 [groups], nats per token.
        error: standard error of each excess, float64 [groups].
        eta: how fast weights move.

    Source: Sheared LLaMA (arXiv 2310.06694), algorithm 1, with the dense model's loss as the target of each group. Its
    code neither clips at 0 nor mixes in more than 1e-4, and its weights run away.
    """
    sure = np.maximum(np.asarray(excess) - np.asarray(error), 0)
    logs = np.log(np.array(list(weights.values()))) + eta * sure
    moved = np.exp(logs - logs.max())
    mixed = (1 - MIXED_IN) * moved / moved.sum() + MIXED_IN / len(moved)
    return dict(zip(weights, map(float, mixed), strict=True))


def worse_half(weights: Mapping[str, float], excess: np.ndarray, error: np.ndarray, eta: float) -> dict[str, float]:
    """Learn from the worse half of the groups alone, and from these alike: the gradient of CVaR at a half."""
    count = max(1, math.ceil(TAIL * len(weights) - 1e-9))
    worst = set(np.argsort(-np.asarray(excess), kind="stable")[:count].tolist())
    return {group: 1 / count if i in worst else 0.0 for i, group in enumerate(weights)}


Weighting = Callable[[Mapping[str, float], np.ndarray, np.ndarray, float], dict[str, float]]
WEIGHTINGS: dict[str, Weighting] = {"uniform": uniform, "excess": by_excess, "cvar": worse_half}
"""What ``--weights`` chooses from."""
