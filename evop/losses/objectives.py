"""Objectives: from the excess loss of every group to one number, lower is better. Numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from evop.errors import refuse_unknown

TAIL = 0.25
"""Share of the groups that ``cvar`` averages over."""


def worst(excess: np.ndarray) -> float:
    """Take the largest excess: the group that loses most decides.

    Source: distributionally robust optimisation over groups (Sagawa et al., arXiv 1911.08731).
    """
    return float(np.max(excess))


def mean(excess: np.ndarray) -> float:
    """Take the plain mean over groups, each counted alike however many tokens it has."""
    return float(np.mean(excess))


def cvar(excess: np.ndarray) -> float:
    """Take the conditional value at risk: the mean over the worst quarter of the groups, at least one.

    Source: Rockafellar and Uryasev, "Optimization of conditional value-at-risk" (2000), discrete form.
    """
    tail = math.ceil(TAIL * len(excess))
    return float(np.mean(np.sort(excess)[-tail:]))


Objective = Callable[[np.ndarray], float]
"""Excess loss per group, float64 [groups] -> a number to minimise."""

OBJECTIVES: dict[str, Objective] = {"worst": worst, "cvar": cvar, "mean": mean}


def objective_of(name: str) -> Objective:
    """Find an objective by its name.

    Raises:
        EvopError: no objective is called so.
    """
    refuse_unknown("--objective", name, OBJECTIVES)
    return OBJECTIVES[name]
