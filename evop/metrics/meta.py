"""The space of OptiShear: 7 by 7 by 7 by 7 metrics of |W| and sqrt(X)."""

from __future__ import annotations

from itertools import product

from evop.metrics.expression import Expression, of
from evop.metrics.simplify import as_ranked

FUNCTIONS: dict[str, str] = {
    "no_op": "",
    "sqrt": "sqrt",
    "pow": "sqr",
    "exp": "exp",
    "log": "ln",
    "sigmoid": "sigmoid",
    "softmax": "softmax",
}
"""What may be done to |W|, and to sqrt(X): OptiShear's name -> operator; "" leaves it."""
COEFFICIENTS = (
    *("no_coe", "row_sum", "column_sum", "relative_sum"),
    *("to_sum_scalar", "to_mean_scalar", "frobenius_norm"),
)
"""What |W|'s and X's functions may be divided by, in OptiShear's names."""
AXES: dict[str, tuple[str, ...]] = {
    "f": tuple(FUNCTIONS),
    "g": tuple(FUNCTIONS),
    "alpha": COEFFICIENTS,
    "beta": COEFFICIENTS,
}
"""What a metric of the space is chosen by -> the choices."""
WEIGHT, INPUT, INPUT_SUM = of("abs", of("W")), of("X"), of("S")


def meta_metric(f: str, g: str, alpha: str, beta: str, *, faithful: bool = False) -> Expression:
    """Make a metric of the space: (alpha(|W|) f(|W|)) (beta(X) g(sqrt(X))).

    Args:
        f: what is done to |W|, a name of ``FUNCTIONS``.
        g: what is done to sqrt(X).
        alpha: what f is divided by, a name of ``COEFFICIENTS``, of |W|.
        beta: what g is divided by, of X itself, not of its root, as in the release.
        faithful: whether it is the release's: "no coefficient" is A / A, no number wherever a weight or an input is
            exactly 0, and not 1; the squares of inputs are summed over a passage (``S``), and not averaged (``X``).

    Example:
        >>> str(meta_metric("no_op", "no_op", "relative_sum", "no_coe"))
        '|W| / (rowsum(|W|) + colsum(|W|)) * sqrt(X)'

    Source: OptiShear (Liu et al., arXiv 2502.10735), meta pruning metric, and its code.
    """
    squares = INPUT_SUM if faithful else INPUT
    root = of("sqrt", squares)
    left = _divided(_applied(f, WEIGHT), alpha, WEIGHT, faithful)
    return of("mul", left, _divided(_applied(g, root), beta, squares, faithful))


def _applied(function: str, value: Expression) -> Expression:
    operator = FUNCTIONS[function]
    return of(operator, value) if operator else value


def _divided(value: Expression, coefficient: str, whole: Expression, faithful: bool) -> Expression:
    if coefficient == "no_coe":
        return of("mul", of("div", whole, whole), value) if faithful else value
    rows, columns = of("rowsum", whole), of("colsum", whole)
    by = {
        "row_sum": rows,
        "column_sum": columns,
        "relative_sum": of("add", rows, columns),
        "to_sum_scalar": of("sum", whole),
        "to_mean_scalar": of("mean", whole),
        "frobenius_norm": of("norm", whole),
    }[coefficient]
    return of("div", value, by)


def every_meta_metric(*, faithful: bool = False) -> list[Expression]:
    """List all 2,401 metrics of the space."""
    return [meta_metric(*choices, faithful=faithful) for choices in product(*AXES.values())]


def distinct_meta_metrics(*, by_row: bool, faithful: bool = False) -> list[Expression]:
    """List metrics of the space that may rank differently, each in the first of its writings.

    Args:
        by_row: whether weights are ranked row by row, where 324 are left, or units, where 504 are.
        faithful: whether they are as released.
    """
    found: dict[Expression, Expression] = {}
    for metric in every_meta_metric(faithful=faithful):
        found.setdefault(as_ranked(metric, by_row=by_row), metric)
    return list(found.values())
