"""How many weights of every row become zero, and which: the least important ones."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evop.errors import EvopError

if TYPE_CHECKING:
    import torch

_N_OF_M = re.compile(r"([0-9]{1,3}):([0-9]{1,3})")
ROUNDING = 1e-9
"""What a share times the inputs may fall short of a whole number by rounding alone."""


@dataclass(frozen=True)
class Sparsity:
    """What part of every row's weights becomes zero.

    Attributes:
        shares: the fraction that leaves: one for all layers, or one a layer; empty where N of M neighbours stay.
        stay: how many of ``of`` neighbours of a row stay; 0 where shares say it.
        of: how many neighbours make a group.

    Example:
        >>> str(Sparsity.read("2:4")), str(Sparsity.read(0.5)), Sparsity.read("0.4,0.6").share(1)
        ('2:4', '0.5', 0.6)
    """

    shares: tuple[float, ...] = ()
    stay: int = 0
    of: int = 0

    @classmethod
    def read(cls, asked: float | str) -> Sparsity:
        """Read what is asked: ``0.5``, ``0.4,0.5,0.6`` with one share a layer, or ``2:4``.

        Raises:
            EvopError: something else.
        """
        if found := _N_OF_M.fullmatch(str(asked)):
            stay, of = int(found[1]), int(found[2])
            if not 0 < stay < of:
                raise EvopError(f"sparsity {asked}: so many of so many stay, such as 2:4; expected fewer than {of}")
            return cls(stay=stay, of=of)
        try:
            shares = tuple(float(word) for word in str(asked).split(","))
        except ValueError:
            shares = ()
        if not shares or not all(0 <= share < 1 for share in shares):
            raise EvopError(
                f"sparsity {asked}: expected a share from 0 to less than 1, one a layer with commas between, or N:M"
            )
        return cls(shares)

    def __str__(self) -> str:
        """Write it as ``read`` reads it."""
        return f"{self.stay}:{self.of}" if self.of else ",".join(f"{share:g}" for share in self.shares)

    def share(self, layer: int) -> float:
        """Say which fraction of a row leaves in a layer."""
        if self.of:
            return (self.of - self.stay) / self.of
        return self.shares[layer if len(self.shares) > 1 else 0]

    def refuse_layers(self, layers: int) -> None:
        """Check that there is a share for every layer.

        Raises:
            EvopError: there is not.
        """
        if len(self.shares) not in (0, 1, layers):
            raise EvopError(
                f"sparsity {str(self)[:60]}: {len(self.shares)} shares for {layers} layers; give one, or one a layer"
            )

    def refuse_rows(self, inputs: int, what: str) -> None:
        """Check that rows part into groups of M.

        Args:
            inputs: how long they are.
            what: names the matrix in an error.

        Raises:
            EvopError: they do not.
        """
        if self.of and inputs % self.of:
            raise EvopError(
                f"sparsity {self}: {what} has rows of {inputs}, which is no multiple of {self.of}; give a share, such "
                "as 0.5"
            )

    def stays(self, scores: torch.Tensor, layer: int, what: str = "a matrix") -> torch.Tensor:
        """Say which weights of every row stay: all but the least important ones, the first of equals leaving first.

        Args:
            scores: how much every weight matters, [out, in]; what is no number stays, as the largest would.
            layer: the decoder layer.
            what: names the matrix in an error.

        Returns:
            bool [out, in]; of shares, a row loses that fraction of its inputs, rounded down to whole ones.

        Raises:
            EvopError: rows that do not part into groups of M.
        """
        self.refuse_rows(scores.shape[1], what)
        if self.of:
            return _stays(scores.reshape(-1, self.of), self.of - self.stay).reshape(scores.shape)
        return _stays(scores, int(scores.shape[1] * self.share(layer) + ROUNDING))

    def packed_bytes(self, weights: int, zeros: int, size: float) -> int:
        """Count the bytes of a matrix whose zeros are left out, by the plainest format that there is.

        What stays, and where: of N:M, the place of each in its group, in as few bits as name M places (two of 2:4, as
        sparse tensor cores have it); else one bit for every weight.

        Args:
            weights: weights of the matrix.
            zeros: how many of them are zero.
            size: bytes of one.
        """
        bits = (weights - zeros) * math.ceil(math.log2(self.of)) if self.of else weights
        return math.ceil((weights - zeros) * size + bits / 8)


def _stays(scores: torch.Tensor, leave: int) -> torch.Tensor:
    import torch

    gone = scores.argsort(dim=-1, stable=True)[:, :leave]
    return torch.ones_like(scores, dtype=torch.bool).scatter_(1, gone, False)
