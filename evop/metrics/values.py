"""What an expression computes, exactly: the operators on tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from evop.metrics.expression import Expression

LOG_FLOOR = 1e-3
"""What ``log`` adds to the absolute value, so that the logarithm of 0 is a number."""
EXP_MOST = 100.0
"""What ``exp`` takes at most."""
MATRIX = (-2, -1)
"""The dimensions of a matrix."""


def _minmax(x: torch.Tensor) -> torch.Tensor:
    low, high = x.amin(MATRIX, keepdim=True), x.amax(MATRIX, keepdim=True)
    return (x - low) / (high - low)


def _zscore(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean(MATRIX, keepdim=True)) / x.std(MATRIX, keepdim=True)


COMPUTED: dict[str, Callable[..., torch.Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "neg": torch.neg,
    "abs": torch.abs,
    "sqr": torch.square,
    "sqrt": lambda x: x.abs().sqrt(),
    "log": lambda x: (x.abs() + LOG_FLOOR).log(),
    "ln": torch.log,
    "exp": lambda x: x.clamp(max=EXP_MOST).exp(),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "minmax": _minmax,
    "zscore": _zscore,
    "softmax": lambda x: x.softmax(-1),
    "rowsum": lambda x: x.sum(-1, keepdim=True),
    "colsum": lambda x: x.sum(-2, keepdim=True),
    "sum": lambda x: x.sum(MATRIX, keepdim=True),
    "mean": lambda x: x.mean(MATRIX, keepdim=True),
    "norm": lambda x: torch.linalg.vector_norm(x, dim=MATRIX, keepdim=True),
}
"""Operator -> what it computes, with the rules of floating point: 0 / 0 is no number, x / 0 is infinite.

``sqrt``, ``log`` and ``exp`` are Pruner-Zero's: of the absolute value, of the absolute value plus 0.001, of 100 at
most; ``zscore`` divides by the standard deviation of a sample, n - 1. ``ln`` is the plain logarithm, as OptiShear's.

Source: Pruner-Zero (Dong et al., arXiv 2406.02924) and OptiShear (Liu et al., arXiv 2502.10735), and their code.
"""


def value(expression: Expression, terminals: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Compute an expression.

    Args:
        expression: the metric.
        terminals: each that it reads, [out, in], [1, in] or [1, units]. Where dtypes or devices differ, the larger
            tensor's are taken.

    Returns:
        [out, in], or with a dimension of 1 where the value is the same for all rows or all columns.
    """
    if not expression.arguments:
        return terminals[expression.name]
    return apply(expression.name, *(value(argument, terminals) for argument in expression.arguments))


def apply(name: str, *arguments: torch.Tensor) -> torch.Tensor:
    """Apply an operator to values, brought to one dtype, one device and shapes that fit."""
    return COMPUTED[name](*_alike(arguments))


def _alike(tensors: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    if len(tensors) == 1:
        return tensors
    widest = max(tensors, key=lambda tensor: (tensor.numel(), tensor.dtype.itemsize))
    columns = max(tensor.shape[-1] for tensor in tensors)
    return tuple(_spread(tensor.to(widest.device, widest.dtype), columns) for tensor in tensors)


def _spread(tensor: torch.Tensor, columns: int) -> torch.Tensor:
    """Repeat the number of every unit for each of its columns, where there is one a unit."""
    own = tensor.shape[-1]
    return tensor if own in (1, columns) else tensor.repeat_interleave(columns // own, dim=-1)
