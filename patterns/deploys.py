"""The table of deploys: which rule of legality each means at a grain."""

from __future__ import annotations

from collections.abc import Callable

from patterns.balance import Balanced
from patterns.errors import PatternError
from patterns.legality import Free, Legality
from patterns.stock import Alternating, Common, CommonAlternating


def _stock(grain: str) -> Legality:
    """Return the rule of a stock architecture at a grain."""
    rules: dict[str, Callable[[], Legality]] = {
        "layer": Free,
        "subblock": Alternating,
        "head": Common,
        "channel": Common,
        "mixed": CommonAlternating,
    }
    return rules[grain]()


def _balanced(grain: str) -> Legality:
    """Return the rule of equal counts at a grain.

    Raises:
        PatternError: a grain at which no whole attentions and MLPs are chosen one by one.
    """
    if grain == "layer":
        return Free()
    if grain == "subblock":
        return Balanced()
    raise PatternError(
        f"--deploy balanced counts whole attentions and MLPs, but --grain {grain} thins them; use --grain subblock, "
        "or --deploy any"
    )


DEPLOYS: dict[str, Callable[[str], Legality]] = {"any": lambda grain: Free(), "balanced": _balanced, "stock": _stock}
"""Deploy name -> the rule it means at a grain. Whole layers are stock, and balanced, however they are chosen."""


def rule_of(deploy: str, grain: str) -> Legality:
    """Return the rule that a deploy means at a grain.

    Args:
        deploy: a key of ``DEPLOYS``.
        grain: what is removed as one.

    Raises:
        PatternError: an unknown deploy, or a grain of which it says nothing.
    """
    if deploy not in DEPLOYS:
        raise PatternError(f"deploy {deploy!r} is unknown; choose one of {', '.join(DEPLOYS)}")
    return DEPLOYS[deploy](grain)
