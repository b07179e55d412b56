"""When two metrics are one: rules that leave a value, or the order of what it ranks, as it is."""

from __future__ import annotations

from evop.metrics.expression import Expression, of

OPPOSITES = {("exp", "log"): "abs", ("log", "exp"): "", ("exp", "ln"): "", ("ln", "exp"): ""}
"""Operators that undo one another, outer first -> what is left; "" is nothing. ``log`` adds 0.001 on the way."""
ABSOLUTE = ("abs", "sqr", "sqrt", "log")
"""Operators that do not look at the sign."""
SPREADS = ("minmax", "zscore")
"""Operators that no shift and no positive factor of the whole matrix changes."""
RISING = ("exp", "tanh", "sigmoid", "softmax", "minmax", "zscore")
"""Operators that leave the order within a row as it is."""
RISING_FROM_ZERO = ("sqrt", "sqr", "log", "ln", "abs")
"""Operators that do so where nothing is below zero."""


def simplified(expression: Expression, *, opposites: bool = False) -> Expression:
    """Write an expression more simply, its value the same up to rounding wherever it is finite.

    Args:
        expression: the metric.
        opposites: whether operators that undo one another go too (Pruner-Zero's opposing operation simplification);
            that leaves the order as it is but for the 0.001 that ``log`` adds.

    Example:
        >>> from evop.metrics.parse import parse
        >>> str(simplified(parse("sqrt(W * W) * |-X|")))
        '|W| * X'
    """
    arguments = tuple(simplified(argument, opposites=opposites) for argument in expression.arguments)
    written = Expression(expression.name, arguments)
    simpler = _step(written, opposites)
    return written if simpler is None else simplified(simpler, opposites=opposites)


def _step(expression: Expression, opposites: bool) -> Expression | None:
    """Take one step, the arguments being simple already; None where there is none to take."""
    if len(expression.arguments) == 2:
        return _of_two(expression)
    return _of_one(expression, opposites) if expression.arguments else None


def _of_one(expression: Expression, opposites: bool) -> Expression | None:
    name, (inner,) = expression.name, expression.arguments
    below = inner.arguments[0] if inner.arguments else inner
    if name == "neg" and inner.name == "neg":
        return below
    if name == "abs" and inner.never_negative:
        return inner
    if name in ABSOLUTE and inner.name in ("neg", "abs"):
        return of(name, below)
    if (name, inner.name) in (("sqrt", "sqr"), ("sqr", "sqrt")):
        return of("abs", below)
    if name in SPREADS and inner.name in SPREADS:
        return of(name, below)
    if opposites and (left := OPPOSITES.get((name, inner.name))) is not None:
        return of(left, below) if left else below
    return None


def _of_two(expression: Expression) -> Expression | None:
    name, (left, right) = expression.name, expression.arguments
    if name == "mul" and left == right:
        return of("sqr", left)
    if name in ("mul", "div") and "neg" in (left.name, right.name):
        bare = [side.arguments[0] if side.name == "neg" else side for side in (left, right)]
        product = of(name, *bare)
        return product if left.name == right.name else of("neg", product)
    if name in ("add", "sub") and right.name == "neg":
        return of("sub" if name == "add" else "add", left, right.arguments[0])
    if name == "add" and left.name == "neg":
        return of("sub", right, left.arguments[0])
    if name in ("add", "mul") and _place(right) < _place(left):
        return of(name, right, left)
    return None


def _place(expression: Expression) -> tuple[bool, str]:
    """Say what comes first in a sum or a product: what a person names first, the weight."""
    return "W" not in expression.terminals, str(expression)


def as_ranked(expression: Expression, *, by_row: bool) -> Expression:
    """Drop what cannot change a ranking: two metrics whose forms are equal rank alike.

    Args:
        expression: the metric.
        by_row: whether the weights of each row are ranked by themselves, or units, by the mean of their weights' values
            over rows, which are then divided by their mean over the part. Of rows, everything at the root that rises
            may go, and factors that are one for the whole row; of units, positive factors that are one for the part.

    Example:
        >>> from evop.metrics.parse import parse
        >>> str(as_ranked(parse("exp(|W| / rowsum(|W|))"), by_row=True))
        '|W|'
    """
    expression = simplified(expression)
    while (less := _less(expression, by_row)) is not None:
        expression = simplified(less)
    return expression


def _less(expression: Expression, by_row: bool) -> Expression | None:
    """Drop one thing at the root; None where nothing can go."""
    name, arguments = expression.name, expression.arguments
    if by_row and name in RISING:
        return arguments[0]
    if by_row and name in RISING_FROM_ZERO and arguments[0].never_negative:
        return arguments[0]
    if by_row and name in ABSOLUTE and name != "abs":
        return of("abs", arguments[0])
    if name in ("mul", "div") and _one_for_all(arguments[1], by_row):
        return arguments[0]
    if name == "mul" and _one_for_all(arguments[0], by_row):
        return arguments[1]
    # A factor may stand deeper in a product: (a * c) * b is (a * b) * c.
    for side, argument in enumerate(arguments[: {"mul": 2, "div": 1}.get(name, 0)]):
        if (less := _factor(argument, by_row)) is not None:
            return of(name, *(less if at == side else other for at, other in enumerate(arguments)))
    return None


def _factor(factor: Expression, by_row: bool) -> Expression | None:
    """Drop one thing in a factor of the root; None where nothing can go."""
    if factor.name == "softmax" and (by_row or not factor.by_row):
        return of("exp", factor.arguments[0])  # divided by its sum over the row, which is one for the row
    return _less(factor, by_row) if factor.name in ("mul", "div") else None


def _one_for_all(factor: Expression, by_row: bool) -> bool:
    """Say whether a factor is positive, and one number for all that is ranked together."""
    return factor.never_negative and not factor.by_column and (by_row or not factor.by_row)
