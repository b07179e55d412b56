"""What a softmax over the vocabulary divides by, added up over slices of it."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Slice(NamedTuple):
    """What a model says of the words of a slice of the vocabulary.

    Attributes:
        chances: the softmax within the slice, float32 [n, words].
        total: what the chances sum to, [n]: one, up to rounding.
        log_sum: log of the sum of the logits' exponentials, [n].
    """

    chances: torch.Tensor
    total: torch.Tensor
    log_sum: torch.Tensor


def slice_of(logits: torch.Tensor) -> Slice:
    """Compute the softmax of a slice of the vocabulary, and what it divided by.

    The softmax alone is as fast as it gets, but does not say what it divided by; the chance of the likeliest word does.
    It adds one word after the other in float32, and over many thousand words loses a hundred-thousandth, at every
    position the same way. So what the chances sum to, which is added up in pairs, is put back.

    Args:
        logits: float32 [n, words].
    """
    chances = logits.softmax(dim=-1)
    total = widest(chances.sum(-1))
    return Slice(chances, total, widest(logits.amax(-1)) - widest(chances.amax(-1)).log() + total.log())


def widest(values: torch.Tensor) -> torch.Tensor:
    """Turn numbers into float64 where the device has it; sums of a few dozen slices then cost no accuracy."""
    return values if values.device.type == "mps" else values.double()
