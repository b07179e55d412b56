"""From the excess loss of every group to one number, lower is better. Numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from evop.errors import refuse_unknown

TAIL = 0.25
"""The share of groups that ``cvar`` averages over."""


def worst(excess: np.ndarray) -> float:
    """The largest excess: the group that pays most decides.

    Source: distributionally robust optimisation over groups (Sagawa et al., arXiv 1911.08731).
    """
    return float(np.max(excess))


def mean(excess: np.ndarray) -> float:
    """The plain mean over groups, each counted alike whatever its tokens."""
    return float(np.mean(excess))


def cvar(excess: np.ndarray) -> float:
    """Conditional value at risk: the mean over the worst quarter of the groups, at least one.

    Source: Rockafellar and Uryasev, "Optimization of conditional value-at-risk" (2000), discrete form.
    """
    tail = math.ceil(TAIL * len(excess))
    return float(np.mean(np.sort(excess)[-tail:]))


Objective = Callable[[np.ndarray], float]
"""Excess loss a group, float64 [groups] -> a number to minimise."""

OBJECTIVES: dict[str, Objective] = {"worst": worst, "cvar": cvar, "mean": mean}


def objective_of(name: str) -> Objective:
    """An objective by name.

    Raises:
        EvopError: unknown name.
    """
    refuse_unknown("--objective", name, OBJECTIVES)
    return OBJECTIVES[name]
