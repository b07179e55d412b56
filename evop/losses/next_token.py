"""Next-token loss."""

from __future__ import annotations

import math

import torch
from torch.nn import functional


class NextToken:
    """Negative log-likelihood of the token that does follow; the first token of a passage is never scored."""

    needs_dense = False
    floor = -math.inf
    """An excess over the dense model can be of either sign."""

    def __call__(self, logits: torch.Tensor, wanted: torch.Tensor, dense: torch.Tensor | None) -> torch.Tensor:
        """The loss at each position, float32 [n]."""
        return functional.cross_entropy(logits.float(), wanted, reduction="none")
