"""Next-token loss, the default of text."""

from __future__ import annotations

import math

import torch
from torch.nn import functional


class NextToken:
    """Measures the negative log-likelihood of the token that does follow, in nats.

    The first token of a passage is never scored.
    """

    needs_dense = False
    floor = -math.inf
    """An excess over the dense model can be of either sign."""

    def __call__(self, logits: torch.Tensor, wanted: torch.Tensor, dense: torch.Tensor | None) -> torch.Tensor:
        """Measure the loss at each position, in nats: float32 [n]."""
        return functional.cross_entropy(logits.float(), wanted, reduction="none")
