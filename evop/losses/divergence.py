"""Kullback-Leibler divergence of a pruned model from the dense one."""

from __future__ import annotations

import torch

from evop.losses.log_sum import slice_of, widest


class Divergence:
    """Measures KL(dense || pruned) over the vocabulary at every scored position, in nats; 0 for the dense model.

    Source: EvoPress (arXiv 2410.14649), fitness function; here over the whole vocabulary.
    """

    needs_dense = True
    floor = 0.0

    def tally(self, wanted: torch.Tensor) -> DivergenceTally:
        """Begin to measure the divergence at some positions; which tokens do follow there is not looked at."""
        return DivergenceTally()


class DivergenceTally:
    """Adds up the divergence over slices of the vocabulary.

    With logits p of the dense and q of the pruned model, and Z their log-sum-exp over the vocabulary, it is the mean of
    p - q under the dense model's chances, plus Z(q) - Z(p). The mean over the vocabulary is that over the slices' own
    means, weighed by what chance the dense model gives each slice.
    """

    def __init__(self) -> None:
        self._differences: list[torch.Tensor] = []
        self._dense: list[torch.Tensor] = []
        self._pruned: list[torch.Tensor] = []

    def add(self, logits: torch.Tensor, first: int, dense: torch.Tensor | None) -> None:
        """Take in the next words: float32 [n, words] of the pruned model, and of the dense one."""
        assert dense is not None
        expected = slice_of(dense)
        # In float32 the chances do not sum to one exactly, and every position errs the same way: by what is missing
        # times the mean of the differences. Divided by their own sum they weigh, whatever the kernel of exp and sum is.
        mean = widest(expected.chances.mul_(dense - logits).sum(-1)) / expected.total
        self._differences.append(mean)
        self._dense.append(expected.log_sum)
        self._pruned.append(slice_of(logits).log_sum)

    def losses(self) -> torch.Tensor:
        """Return the divergence at each position, in nats, [n], when all words were taken in."""
        dense, pruned = torch.stack(self._dense), torch.stack(self._pruned)
        mean = (dense.softmax(0) * torch.stack(self._differences)).sum(0)
        # Rounding may leave a little less than nothing.
        return (mean + pruned.logsumexp(0) - dense.logsumexp(0)).clamp_min(0)
