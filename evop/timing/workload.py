"""What is timed: one request of a stated batch, context and number of tokens to decode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evop.errors import EvopError

BATCH, CONTEXT, DECODE = 1, 512, 64
"""What is timed by default; less where the model has too few positions."""
STEPS, WARM_STEPS = 16, 2
"""Tokens decoded in a round at most, of which the median of the times counts; and those decoded before to warm up."""


@dataclass(frozen=True)
class Workload:
    """One request: ``batch`` sequences of ``context`` tokens are read, then ``decode`` tokens of each are written.

    Attributes:
        batch: number of sequences side by side.
        context: tokens of each sequence that are read in one forward pass (prefill), and then lie in the cache.
        decode: tokens of each sequence that are written after them, one forward pass each.
    """

    batch: int
    context: int
    decode: int

    @classmethod
    def of(
        cls, config: Any, batch: int | None = None, context: int | None = None, decode: int | None = None
    ) -> Workload:
        """Fill in what is left open to suit a model; ``config`` as transformers reads it.

        Raises:
            EvopError: more tokens than the model has positions.
        """
        positions = int(getattr(config, "max_position_embeddings", None) or CONTEXT + DECODE)
        if decode is None:
            decode = min(DECODE, max(1, (positions - (context or 0)) // 4))
        if context is None:
            context = max(1, min(CONTEXT, positions - _written(decode)))
        needed = context + _written(decode)
        if needed > positions:
            raise EvopError(
                f"--latency-context {context} and --latency-decode {decode} take {needed} tokens when they are timed, "
                f"more than the model's {positions} positions; give fewer"
            )
        return cls(batch or BATCH, context, decode)

    @property
    def words(self) -> str:
        """The request, as a person reads it."""
        return f"prefill of {self.context:,} tokens and decoding of {self.decode:,}, batch {self.batch}"

    def timed_on(self, device: str, dtype: str, threads: int) -> str:
        """Say what was timed and where, as a person reads it; ``threads`` is 0 where the processor does not compute."""
        counted = f", {threads} thread(s)" if threads else ""
        return f"{self.words}, {dtype} on {device}{counted}"

    def total(self, prefill: float, decode: float) -> float:
        """Add up the time of the request from those of the prefill and of one decoded token, in their unit."""
        return prefill + self.decode * decode


def _written(decode: int) -> int:
    """Count the tokens that are written after the context, be it only to time them."""
    return max(decode, min(STEPS, decode) + 1, WARM_STEPS + 1)
