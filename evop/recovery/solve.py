"""Ridge regression from its sums: what a weight should have been."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from evop.errors import NOT_FINITE, EvopError

JITTER = 1e-10
"""What is added to the diagonal where a matrix is singular to rounding, in its mean entries; grown tenfold until it is
not."""


@dataclass
class NormalSums:
    """The sums of a least-squares problem: inputs times inputs, and inputs times what they should give.

    Products of a batch are made in the dtype of its inputs, float32 at least, and added in float64 on the CPU, so that
    devices agree within the rounding of one batch.

    Attributes:
        what: names the problem in an error.
        gram: sum of w a aᵀ, float64 [features, features].
        cross: sum of w a eᵀ, float64 [features, outputs].
    """

    what: str
    gram: torch.Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.float64))
    cross: torch.Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.float64))

    def add(self, inputs: torch.Tensor, errors: torch.Tensor, weights: torch.Tensor) -> None:
        """Add some rows.

        Args:
            inputs: [n, features].
            errors: what the inputs should give beyond what they do, [n, outputs].
            weights: what each row counts, [n].
        """
        weighted = inputs * weights[:, None].to(inputs)
        gram, cross = (weighted.T @ inputs).cpu(), (weighted.T @ errors).cpu()
        self.gram = self.gram.add_(gram) if self.gram.numel() else gram.double()
        self.cross = self.cross.add_(cross) if self.cross.numel() else cross.double()

    def solved(self, ridge: float) -> torch.Tensor:
        """Find the change of a weight: argmin of sum w |a d - e|² + ridge · mean(diagonal) · |d|².

        Args:
            ridge: strength of the pull towards no change, in mean diagonal entries of the sum of w a aᵀ.

        Returns:
            float64 [features, outputs].

        Raises:
            EvopError: sums that are not finite.
        """
        if not (torch.isfinite(self.gram).all() and torch.isfinite(self.cross).all()):
            raise EvopError(f"{self.what}: its inputs are not finite; {NOT_FINITE}")
        diagonal = self.gram.diagonal().clone()
        mean, jitter = float(diagonal.mean()) or 1.0, 0.0
        try:
            while True:  # in place: of a wide projection, a second sum would not fit beside its factor
                self.gram.diagonal().copy_(diagonal + (ridge + jitter) * mean)
                factor, failed = torch.linalg.cholesky_ex(self.gram)
                if not failed:
                    return torch.cholesky_solve(self.cross, factor)
                jitter = max(JITTER, 10 * jitter)
        finally:
            self.gram.diagonal().copy_(diagonal)

    def factors(self, ridge: float) -> torch.Tensor:
        """Find one factor a channel, where inputs and outputs are the same channels: float64 [outputs]."""
        squares = self.gram.diagonal()
        return self.cross.diagonal() / (squares + ridge * (float(squares.mean()) or 1.0))
