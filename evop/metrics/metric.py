"""A metric as a person names it: an expression, and whose text counts how much in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from evop.errors import EvopError
from evop.metrics.expression import Expression
from evop.metrics.parse import parse

SHARES = " @ "
"""What stands between the expression and the shares of domains and groups."""


@dataclass(frozen=True)
class Metric:
    """An expression, and how much each group counts where groups are combined.

    Attributes:
        expression: what is computed of every group.
        shares: pairs of a domain, or of one group, and what it counts, from 0 to 1. A group's own share goes before its
            domain's; what is not named counts 1.

    Example:
        >>> str(Metric.parse("abs(W)*sqrt(X) @ code=0.5,law=0"))
        '|W| * sqrt(X) @ code=0.5,law=0'
    """

    expression: Expression
    shares: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(cls, line: str) -> Metric:
        """Read a metric.

        Raises:
            EvopError: not an expression, or not shares.
        """
        words, _, shares = line.partition(SHARES.strip())
        return cls(parse(words), tuple(_share(pair) for pair in shares.split(",") if pair.strip()))

    def __str__(self) -> str:
        """Write the metric as ``parse`` reads it."""
        shares = ",".join(f"{name}={share:g}" for name, share in self.shares)
        return f"{self.expression}{SHARES}{shares}" if shares else str(self.expression)

    @property
    def by_name(self) -> Mapping[str, float]:
        """Domain or group -> its share, of those that are named."""
        return dict(self.shares)


def _share(pair: str) -> tuple[str, float]:
    name, equals, number = pair.strip().rpartition("=")
    try:
        share = float(number)
    except ValueError:
        share = math.nan
    if not equals or not name or not 0 <= share <= 1:
        raise EvopError(f"metric: share {pair.strip()!r}; expected NAME=NUMBER, from 0 to 1, such as code=0.5")
    return name, share
