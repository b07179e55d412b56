"""The size of a batch: how much goes through the model at once, and less for good where memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from evop.errors import EvopError

Result = TypeVar("Result")
AUTO_TOKENS = {"cpu": 512, "cuda": 16384, "mps": 4096}
"""Padded tokens per forward pass with ``--batch-size auto``."""


@dataclass
class BatchSize:
    """The size of a batch, found by trial where nobody asked for one.

    Attributes:
        tokens: padded tokens per forward pass at most, now.
        least: tokens of one passage of full length; a batch does not get smaller.
        fixed: whether a person asked for this size; it is then never made smaller.
        device: where the batches run.
    """

    tokens: int
    least: int
    fixed: bool
    device: torch.device

    @classmethod
    def of(cls, passages: int | None, max_tokens: int, device: torch.device) -> BatchSize:
        """Begin with the size that was asked for, or with one that suits the device.

        Args:
            passages: passages of full length per forward pass, or None.
            max_tokens: tokens per passage at most.
            device: where the batches run.
        """
        tokens = passages * max_tokens if passages else AUTO_TOKENS[device.type]
        return cls(tokens, max_tokens, passages is not None, device)

    def backoff(self, run: Callable[[int], Result], let_go: Callable[[], bool]) -> Result:
        """Call a function with padded tokens per batch; halve the batch, for good, where memory runs out.

        Args:
            run: the function; it takes padded tokens per batch.
            let_go: frees memory that only saves time, and says whether there was any; tried before a batch is halved.

        Raises:
            EvopError: out of memory with the smallest batch, or with the one asked for.
        """
        while True:
            try:
                return run(self.tokens)
            except torch.OutOfMemoryError as error:
                if not let_go():
                    self._halve(error)
                torch.cuda.empty_cache()

    def _halve(self, error: torch.OutOfMemoryError) -> None:
        smaller = self.tokens // 2
        if self.fixed or smaller < self.least:
            raise EvopError(
                f"out of memory on {self.device} with {self.tokens} tokens per batch; use a smaller --batch-size or "
                "--max-tokens, or --dtype bfloat16"
            ) from error
        self.tokens = smaller
