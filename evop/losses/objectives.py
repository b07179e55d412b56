"""Objectives: from the excess loss of every group to one number, lower is better. Numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from evop.errors import refuse_unknown

TAIL = 0.5
"""Share of the groups that ``cvar`` averages over, where nothing else is asked for: the worse half."""


def worst(excess: np.ndarray) -> float:
    """Take the largest excess: the group that loses most decides.

    Source: distributionally robust optimisation over groups (Sagawa et al., arXiv 1911.08731).
    """
    return float(np.max(excess))


def mean(excess: np.ndarray) -> float:
    """Take the plain mean over groups, each counted alike however many tokens it has."""
    return float(np.mean(excess))


def cvar(excess: np.ndarray, tail: float = TAIL) -> float:
    """Take the conditional value at risk: the mean over the worst groups, at least one.

    The worst group alone is a maximum of noisy means, which chance decides as much as the pattern does; the mean over
    a tail is as blind to groups that are well off, and less noisy.

    Args:
        excess: excess per group, float64 [groups].
        tail: share of the groups that is averaged over, in (0, 1]; 1 is the mean.

    Source: Rockafellar and Uryasev, "Optimization of conditional value-at-risk" (2000), discrete form.
    """
    count = max(1, math.ceil(tail * len(excess) - 1e-9))
    return float(np.mean(np.sort(excess)[-count:]))


Objective = Callable[[np.ndarray], float]
"""Excess loss per group, float64 [groups] -> a number to minimise."""

OBJECTIVES: dict[str, Objective] = {"worst": worst, "cvar": cvar, "mean": mean}


def objective_of(name: str, tail: float = TAIL) -> Objective:
    """Find an objective by its name.

    Args:
        name: ``worst``, ``cvar`` or ``mean``.
        tail: share of the groups that ``cvar`` averages over.

    Raises:
        EvopError: no objective is called so.
    """
    refuse_unknown("--objective", name, OBJECTIVES)
    return partial(cvar, tail=tail) if name == "cvar" else OBJECTIVES[name]


def objective_words(name: str, tail: float) -> str:
    """Say what an objective is in words that stand before "excess": ``mean of the worse half's``."""
    if name != "cvar":
        return name
    return "mean of the worse half's" if tail == TAIL else f"mean of the worst {tail:.0%} of groups'"
