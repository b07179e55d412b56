"""A metric as an expression: a tree over weights and what was measured, read from and written as one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

TERMINALS: dict[str, str] = {
    "W": "the weight, [out, in]",
    "X": "mean square of each input, by group, [1, in]",
    "V": "variance of each input, by group, [1, in]",
    "D": "what the loss changes, to first order, when an input is gated off, by group, [1, in]",
    "G": "root mean square of the weight's gradient over passages, [out, in]",
    "S": "sum of squares of each input over a passage, mean over passages, by group, [1, in]",
    "R": "a hundred times the root of the sum of squares of the weight's gradient over passages, [out, in]",
    "N": "norm of all weights that leave with a unit, [1, units]",
}
"""What a metric is made of -> what it is. ``D`` is the sum over a column of W times the gradient, in nats. ``S`` is
what the code of OptiShear and Pruner-Zero calls X, ``R`` what that of Pruner-Zero calls G; a metric with ``exp`` in it,
or with a sum, tells them from ``X`` and ``G``."""
BY_GROUP = frozenset("XVDS")
"""Terminals that every group has its own of."""
BY_ROW = frozenset("WGR")
"""Terminals that differ from row to row of a matrix."""
NEVER_NEGATIVE = frozenset("XVGNSR")
"""Terminals that are never below zero."""
WEIGHT_GRADIENTS = frozenset("GR")
"""Terminals that take gradients of weights."""
GRADIENTS = WEIGHT_GRADIENTS | {"D"}
"""Terminals that take a backward pass."""

SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
"""Operator of two values -> its symbol."""
ELEMENTWISE = ("neg", "abs", "sqr", "sqrt", "log", "ln", "exp", "tanh", "sigmoid")
"""Operators of each number by itself."""
WHOLE = ("minmax", "zscore", "softmax")
"""Operators that look at a whole matrix, or at whole rows, and give one of the same shape."""
REDUCED = ("rowsum", "colsum", "sum", "mean", "norm")
"""Operators that give one number for a row, for a column, or for the whole matrix."""
OPERATORS: dict[str, int] = {**dict.fromkeys(SYMBOLS, 2), **dict.fromkeys((*ELEMENTWISE, *WHOLE, *REDUCED), 1)}
"""Operator -> number of its arguments; what each computes, says ``evop/metrics/values.py``."""
LOOSE, TIGHT, SIGNED, ATOM = range(4)
"""How tightly an expression binds: sums, products, signs, everything else."""
BINDING = {"add": LOOSE, "sub": LOOSE, "mul": TIGHT, "div": TIGHT, "neg": SIGNED}


@dataclass(frozen=True)
class Expression:
    """A metric: a terminal, or an operator with its arguments.

    Attributes:
        name: a name of ``TERMINALS`` or of ``OPERATORS``.
        arguments: as many as the operator takes; a terminal has none.

    Example:
        >>> weight = Expression("W")
        >>> str(Expression("mul", (Expression("abs", (weight,)), Expression("sqrt", (Expression("X"),)))))
        '|W| * sqrt(X)'
    """

    name: str
    arguments: tuple[Expression, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.arguments) == (0 if self.name in TERMINALS else OPERATORS[self.name]), self.name

    def __str__(self) -> str:
        """Write the expression as a person reads it; ``parse`` reads it back."""
        if self.name in SYMBOLS:
            left, right = self.arguments
            own = BINDING[self.name]
            # a - (b - c) and a / (b * c) need their brackets; so do sums and products, whose order is kept.
            return f"{left._bound(own)} {SYMBOLS[self.name]} {right._bound(own + 1)}"
        if self.name == "neg":
            return f"-{self.arguments[0]._bound(SIGNED)}"
        if self.name == "abs" and "|" not in str(self.arguments[0]):
            return f"|{self.arguments[0]}|"
        return f"{self.name}({self.arguments[0]})" if self.arguments else self.name

    def _bound(self, least: int) -> str:
        return str(self) if BINDING.get(self.name, ATOM) >= least else f"({self})"

    @cached_property
    def nodes(self) -> tuple[Expression, ...]:
        """The expression and all parts of it, each before its own parts."""
        return tuple(self._walk())

    def _walk(self) -> Iterator[Expression]:
        yield self
        for argument in self.arguments:
            yield from argument._walk()

    @cached_property
    def terminals(self) -> frozenset[str]:
        """The terminals that the expression reads."""
        return frozenset(node.name for node in self.nodes if node.name in TERMINALS)

    @cached_property
    def depth(self) -> int:
        """Number of operators between the root and the deepest terminal."""
        return 1 + max(argument.depth for argument in self.arguments) if self.arguments else 0

    @cached_property
    def by_row(self) -> bool:
        """Whether the value may differ from row to row."""
        if self.name in ("colsum", "sum", "mean", "norm"):
            return False
        return self.name in BY_ROW or any(argument.by_row for argument in self.arguments)

    @cached_property
    def by_column(self) -> bool:
        """Whether the value may differ from column to column."""
        if self.name in ("rowsum", "sum", "mean", "norm"):
            return False
        return self.name in TERMINALS or any(argument.by_column for argument in self.arguments)

    @cached_property
    def never_negative(self) -> bool:
        """Whether the value is certain not to be below zero."""
        if self.name in ("abs", "sqr", "sqrt", "exp", "sigmoid", "softmax", "minmax", "norm"):
            return True
        if self.name in ("add", "mul", "div", "tanh", "rowsum", "colsum", "sum", "mean"):
            return all(argument.never_negative for argument in self.arguments)
        return self.name in NEVER_NEGATIVE


def of(name: str, *arguments: Expression) -> Expression:
    """Make an expression; a shorter way to write one."""
    return Expression(name, arguments)
