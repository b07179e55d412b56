"""What is timed: one request of a stated batch, context and number of tokens to decode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evop.errors import EvopError

BATCH, CONTEXT, DECODE = 1, 512, 64
"""What is timed where nothing else is asked for; less where the model has too few positions."""
STEPS, WARM_STEPS = 16, 2
"""Tokens decoded in a round at most, of which the median of the times counts; and those decoded before to warm up."""


@dataclass(frozen=True)
class Workload:
    """One request: ``batch`` sequences of ``context`` tokens are read, then ``decode`` tokens of each are written.

    Attributes:
        batch: sequences side by side.
        context: tokens read in one forward pass (prefill); they are in the cache when decoding begins.
        decode: tokens written after them, one forward pass each.
    """

    batch: int
    context: int
    decode: int

    @classmethod
    def of(
        cls, config: Any, batch: int | None = None, context: int | None = None, decode: int | None = None
    ) -> Workload:
        """What was asked for, the rest filled in; ``config`` as transformers reads it.

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
        """As a person reads it."""
        return f"prefill of {self.context:,} tokens and decoding of {self.decode:,}, batch {self.batch}"

    def total(self, prefill: float, decode: float) -> float:
        """Time of the request from the time of the prefill and of one decoded token, in their unit."""
        return prefill + self.decode * decode


def _written(decode: int) -> int:
    """Tokens that are written after the context, be it only to time them."""
    return max(decode, min(STEPS, decode) + 1, WARM_STEPS + 1)
