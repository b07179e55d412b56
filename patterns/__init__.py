"""Patterns: what can be removed from a model, how much must go, and the search for what to remove.

This room knows no language model: numpy and cma only.
"""

from patterns.budget import Budget
from patterns.errors import PatternError
from patterns.ledger import FINALISTS, Fidelity, Request
from patterns.part import COSTS, Cost, Part, PartKind, Pattern
from patterns.search import Measure, finalists, search
from patterns.space import PatternSpace, Reached
from patterns.stop import Stop
from patterns.strategies import OPTIONS, STRATEGIES, Strategy, default_strategy, make_strategy, refuse_strategy
from patterns.trials import Log, Measurement, Trial, TrialLog

__all__ = [
    "COSTS",
    "FINALISTS",
    "OPTIONS",
    "STRATEGIES",
    "Budget",
    "Cost",
    "Fidelity",
    "Log",
    "Measure",
    "Measurement",
    "Part",
    "PartKind",
    "Pattern",
    "PatternError",
    "PatternSpace",
    "Reached",
    "Request",
    "Stop",
    "Strategy",
    "Trial",
    "TrialLog",
    "default_strategy",
    "finalists",
    "make_strategy",
    "refuse_strategy",
    "search",
]
