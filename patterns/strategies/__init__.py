"""Search strategies: the protocol, and the table of all of them.

A strategy never checks a budget or a rule itself: it draws legal patterns from the ``Budget`` it is given.
It keeps no random state but its own, and what it asks depends only on its seed and on what it was told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from patterns.budget import Budget
from patterns.errors import PatternError
from patterns.part import Pattern


class Strategy(Protocol):
    """Proposes patterns, round by round.

    Example:
        >>> asked = strategy.ask()
        >>> strategy.tell({pattern: measure(pattern) for pattern in asked})
    """

    finishes: bool
    """Whether it ends by itself, without a limit."""
    fidelity: float
    """Share of the search sample on which the patterns last asked are to be measured, in (0, 1]."""
    survivors: int | None
    """Number of the best of the patterns last asked that decide what it does next; None: all of them do.

    Of the others it needs to know no more than that they are worse.
    """

    def ask(self) -> list[Pattern]:
        """Return the patterns of the next round; an empty list when the strategy has finished.

        They may repeat what was asked before: the loop measures a pattern once.
        """

    def tell(self, values: Mapping[Pattern, float]) -> None:
        """Take the values of the patterns just asked; lower is better, infinity is a failed measurement."""

    def completions(self, values: Mapping[Pattern, float]) -> list[Pattern]:
        """Return patterns that meet the budget, should nothing measured in full meet it when the search is stopped.

        Args:
            values: pattern -> its last value, of everything measured so far, the round in flight included.

        Returns:
            What promises most first; none where all that is asked meets the budget.
        """


STRATEGIES: dict[str, str] = {
    "cma": "patterns.strategies.cma:CMA",
    "darwin": "patterns.strategies.darwin:Darwin",
    "exhaustive": "patterns.strategies.exhaustive:Exhaustive",
    "genetic": "patterns.strategies.genetic:Genetic",
    "greedy": "patterns.strategies.greedy:Greedy",
    "lq-cma": "patterns.strategies.lq_cma:LQCMA",
    "oneshot": "patterns.strategies.oneshot:OneShot",
    "policy": "patterns.strategies.policy:Policy",
    "random": "patterns.strategies.random:Random",
    "surrogate": "patterns.strategies.surrogate:Surrogate",
    "swap": "patterns.strategies.swap:Swap",
}
"""Name -> ``module:class``; a class is built with ``(budget, seed, **options)``. Imported when used."""

OPTIONS: dict[str, tuple[str, ...]] = {
    "elitism": ("genetic",),
    "patience": ("genetic", "swap"),
}
"""Option -> the strategies that take it, as a keyword."""

TUNABLE = ("cma", "lq-cma", "surrogate")
"""Strategies whose hyperparameters can be set, as the keyword ``settings``; ``benchmarks/ablations.py`` does."""

FEW = 200
"""Patterns of the largest space that is measured whole, where no strategy is asked for."""


def refuse_strategy(name: str, **options: int | None) -> None:
    """Check that there is a strategy of a name and that it takes some options.

    Args:
        name: a key of ``STRATEGIES``.
        **options: keys of ``OPTIONS``; None is left to the strategy.

    Raises:
        PatternError: unknown name, or an option that is unknown, of another strategy, or out of range.
    """
    if name not in STRATEGIES:
        raise PatternError(f"strategy {name!r} is unknown; choose one of {', '.join(STRATEGIES)}")
    for option in (option for option, value in options.items() if value is not None):
        takers = OPTIONS.get(option, ())
        if not takers:
            raise PatternError(f"strategy option {option!r} is unknown; the options are {', '.join(OPTIONS)}")
        if name not in takers:
            does = f"{takers[0]} does" if len(takers) == 1 else f"{' and '.join(takers)} do"
            raise PatternError(f"strategy {name} takes no {option}; {does}")
    if options.get("elitism") is not None:
        from patterns.strategies.genetic import refuse_elitism

        refuse_elitism(options["elitism"])


def make_strategy(
    name: str, budget: Budget, seed: int, *, settings: object | None = None, **options: int | None
) -> Strategy:
    """Build a strategy by name.

    Args:
        name: a key of ``STRATEGIES``.
        budget: hands out the patterns.
        seed: the seed of all that is random in it.
        settings: hyperparameters of a strategy that is named in ``TUNABLE``; None for its defaults.
        **options: keys of ``OPTIONS``; None is left to the strategy.

    Raises:
        PatternError: unknown name, settings for a strategy without any, or an option that is unknown, of another
            strategy, or out of range.
    """
    import importlib

    refuse_strategy(name, **options)
    chosen: dict[str, object] = {option: value for option, value in options.items() if value is not None}
    if settings is not None:
        if name not in TUNABLE:
            raise PatternError(f"strategy {name} takes no settings; only {', '.join(TUNABLE)} do")
        chosen["settings"] = settings
    module, _, attribute = STRATEGIES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)(budget, seed, **chosen)


def default_strategy(budget: Budget) -> tuple[str, str]:
    """Return the strategy for a search that names none, and why, in words for a person.

    Few patterns are all measured: no search can do better, and it ends by itself. Else ``surrogate``, which reaches the
    optimum soonest where that is known, and the best values at equal tokens elsewhere (``benchmarks/optimum.py``).
    """
    few = budget.few(FEW)
    if few is None:
        return "surrogate", f"more than {FEW} patterns meet the budget: they are searched"
    all_of_them = (
        "the one pattern that meets the budget is"
        if len(few) == 1
        else f"all {len(few)} patterns that meet the budget are"
    )
    return "exhaustive", f"{all_of_them} measured"
