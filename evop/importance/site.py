"""A place whose units can be ranked: one projection, and the weights that leave with each of its inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from evop.errors import NOT_FINITE, EvopError


@dataclass(frozen=True, eq=False)  # tensors have no plain equality
class Site:
    """The units of one part.

    Attributes:
        part: name of the part, such as ``layers.3.mlp``.
        out: the projection whose input features are the units: ``nn.Linear`` (weight [out, in]) or transformers'
            ``Conv1D`` (weight [in, out]); F input features.
        units: number of units; unit u owns the features [u * F / units, (u + 1) * F / units).
        coupled: every weight of the coupled groups, each as [units, n]: rows of gate, up, q, k and v, columns of out.
    """

    part: str
    out: nn.Module
    units: int
    coupled: tuple[torch.Tensor, ...]

    def __post_init__(self) -> None:
        assert self.features % self.units == 0, f"{self.part}: {self.features} features in {self.units} units"
        assert all(len(weight) == self.units for weight in self.coupled), f"{self.part}: coupled not [units, n]"

    @property
    def weight(self) -> torch.Tensor:
        """Weight of ``out`` as [out, F], whichever way the module keeps it; no gradient."""
        weight: torch.Tensor = self.out.weight.detach()  # type: ignore[operator]
        return weight if isinstance(self.out, nn.Linear) else weight.T

    @property
    def features(self) -> int:
        """Number F of input features of ``out``."""
        return self.weight.shape[1]


def on_cpu(tensor: torch.Tensor, what: str) -> np.ndarray:
    """Bring a result from the device, as float64.

    Raises:
        EvopError: a value is not finite; the message opens with ``what``.
    """
    values = tensor.cpu().double().numpy()
    if not np.isfinite(values).all():
        raise EvopError(f"{what} is not finite; {NOT_FINITE}")
    return values


def widened(tensor: torch.Tensor) -> torch.Tensor:
    """Widen to fp32 at least: what is summed in half precision is lost."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
