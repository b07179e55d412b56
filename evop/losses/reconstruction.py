"""How far a pruned model's logits lie from the dense model's."""

from __future__ import annotations

import torch

from evop.losses.log_sum import widest


class Reconstruction:
    """Measures the squared distance of the logits at every scored position, summed over the vocabulary.

    Its sum over the positions of a text is the square of the Frobenius norm that OptiShear minimises; it ranks alike.
    Ours is: the root is not taken, so that losses can be averaged, and padding is not counted (in the release it is).

    Source: OptiShear (Liu et al., arXiv 2502.10735), model-wise reconstruction error, and its code.
    """

    needs_dense = True
    floor = 0.0

    def tally(self, wanted: torch.Tensor) -> ReconstructionTally:
        """Begin to measure some positions; which tokens do follow there is not looked at."""
        return ReconstructionTally(widest(torch.zeros(len(wanted), device=wanted.device)))


class ReconstructionTally:
    """Adds up squared differences over slices of the vocabulary; ``total``: [n]."""

    def __init__(self, total: torch.Tensor) -> None:
        self.total = total

    def add(self, logits: torch.Tensor, first: int, dense: torch.Tensor | None) -> None:
        """Take in the next words: float32 [n, words] of the pruned model, and of the dense one."""
        assert dense is not None
        self.total = self.total + widest((logits - dense).square_().sum(-1))

    def losses(self) -> torch.Tensor:
        """Return the squared distance at each position, [n], when all words were taken in."""
        return self.total
