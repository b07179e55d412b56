"""The sum of what every word weighs, added up over slices of the vocabulary: what a softmax divides by."""

from __future__ import annotations

import torch


def chances_and_log_sum(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute softmax and log-sum-exp of a slice of the vocabulary in one pass over it.

    The likeliest word of the slice says what the softmax divided by: its chance is never so small that it is lost.

    Args:
        logits: float32 [n, words].

    Returns:
        Chances within the slice, float32 [n, words], and log-sum-exp, [n], as wide as the device can.
    """
    chances = logits.softmax(dim=-1)
    return chances, widest(logits.amax(-1)) - widest(chances.amax(-1)).log()


def widest(values: torch.Tensor) -> torch.Tensor:
    """Turn numbers into float64 where the device has it; sums of a few dozen slices then cost no accuracy."""
    return values if values.device.type == "mps" else values.double()
