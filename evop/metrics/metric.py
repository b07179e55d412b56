"""A metric as a person names it: an expression, whose text counts how much in it, and which passages are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from evop.errors import EvopError, refuse_unknown
from evop.metrics.expression import Expression
from evop.metrics.parse import parse
from evop.tokens.draws import DRAWS

SHARES = " @ "
"""What stands between the expression and the shares of domains and groups, and the draw."""
DRAW = "drawn"
"""What stands before the name of a draw."""


@dataclass(frozen=True)
class Metric:
    """An expression, and how much each group counts where groups are combined.

    Attributes:
        expression: what is computed of every group.
        shares: pairs of a domain, or of one group, and what it counts, from 0 to 1. A group's own share goes before its
            domain's; what is not named counts 1.
        draw: which half of every group's passages is read, a name of ``DRAWS``; "" where all are.

    Example:
        >>> str(Metric.parse("abs(W)*sqrt(X) @ code=0.5,law=0"))
        '|W| * sqrt(X) @ code=0.5,law=0'
        >>> Metric.parse("abs(W)*sqrt(X) @ drawn=longest").draw
        'longest'
    """

    expression: Expression
    shares: tuple[tuple[str, float], ...] = ()
    draw: str = ""

    @classmethod
    def parse(cls, line: str) -> Metric:
        """Read a metric.

        Raises:
            EvopError: not an expression, not shares, a draw that does not exist, or two.
        """
        words, _, text = line.partition(SHARES.strip())
        pairs = [pair.strip() for pair in text.split(",") if pair.strip()]
        draws = [name for pair in pairs if (name := _draw(pair))]
        if len(draws) > 1:
            raise EvopError(f"metric: {' and '.join(f'{DRAW}={name}' for name in draws)}; name one of them")
        return cls(parse(words), tuple(_share(pair) for pair in pairs if not _draw(pair)), "".join(draws))

    def __str__(self) -> str:
        """Write the metric as ``parse`` reads it."""
        pairs = [f"{name}={share:g}" for name, share in self.shares]
        pairs += [f"{DRAW}={self.draw}"] if self.draw else []
        return f"{self.expression}{SHARES}{','.join(pairs)}" if pairs else str(self.expression)

    @property
    def by_name(self) -> Mapping[str, float]:
        """Domain or group -> its share, of those that are named."""
        return dict(self.shares)


def _draw(pair: str) -> str:
    """Read the name of a draw; "" of a share, which is a number, of a domain called as a draw is announced."""
    name, _, word = pair.partition("=")
    if name != DRAW or not word[:1].isalpha():
        return ""
    refuse_unknown(f"metric: {DRAW}", word, DRAWS)
    return word


def _share(pair: str) -> tuple[str, float]:
    name, equals, number = pair.rpartition("=")
    try:
        share = float(number)
    except ValueError:
        share = math.nan
    if not equals or not name or not 0 <= share <= 1:
        raise EvopError(f"metric: share {pair!r}; expected NAME=NUMBER, from 0 to 1, such as code=0.5")
    return name, share
