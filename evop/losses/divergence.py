"""Kullback-Leibler divergence of a pruned model from the dense one."""

from __future__ import annotations

import torch
from torch.nn import functional


class Divergence:
    """Measures KL(dense || pruned) over the vocabulary at every scored position, in nats; 0 for the dense model.

    Source: EvoPress (arXiv 2410.14649), fitness function; here over the whole vocabulary.
    """

    needs_dense = True
    floor = 0.0

    def __call__(self, logits: torch.Tensor, wanted: torch.Tensor, dense: torch.Tensor | None) -> torch.Tensor:
        """Measure the divergence at each position, in nats: float32 [n]."""
        assert dense is not None
        pruned = functional.log_softmax(logits.float(), dim=-1)
        target = functional.log_softmax(dense.to(logits.device).float(), dim=-1)
        # In float32 the chances do not sum to one exactly, and every position errs the same way: by what is missing
        # times the mean of the differences. Divided by their own sum they weigh, whatever the kernel of exp and sum is.
        chances = target.exp()
        divergence = (chances * (target - pruned)).sum(-1) / chances.sum(-1)
        # Rounding may leave a little less than nothing.
        return divergence.clamp_min(0)
