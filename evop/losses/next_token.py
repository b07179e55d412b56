"""Next-token loss, the default of text."""

from __future__ import annotations

import math

import torch

from evop.losses.log_sum import slice_of, widest


class NextToken:
    """Measures the negative log-likelihood of the token that does follow, in nats.

    The first token of a passage is never scored.
    """

    needs_dense = False
    floor = -math.inf
    """An excess over the dense model can be of either sign."""

    def tally(self, wanted: torch.Tensor) -> NextTokenTally:
        """Begin to measure the loss at some positions; ``wanted`` are the tokens that do follow, int64 [n]."""
        return NextTokenTally(wanted)


class NextTokenTally:
    """Adds up next-token loss over slices of the vocabulary: the log of all weights, minus that of the wanted token.

    Args:
        wanted: int64 [n], the tokens that do follow.
    """

    def __init__(self, wanted: torch.Tensor) -> None:
        self._wanted = wanted
        self._log_sums: list[torch.Tensor] = []
        self._right = torch.zeros(len(wanted), device=wanted.device)

    def add(self, logits: torch.Tensor, first: int, dense: torch.Tensor | None) -> None:
        """Take in the next words: float32 [n, words], numbered from ``first`` on; ``dense`` is not looked at."""
        self._log_sums.append(slice_of(logits).log_sum)
        at = self._wanted - first
        here = (at >= 0) & (at < logits.shape[1])
        found = logits.gather(1, at.clamp(0, logits.shape[1] - 1)[:, None])[:, 0]
        self._right = torch.where(here, found, self._right)

    def losses(self) -> torch.Tensor:
        """Return the loss at each position, in nats, [n], when all words were taken in."""
        return torch.stack(self._log_sums).logsumexp(0) - widest(self._right)
