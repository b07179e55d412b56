"""A norm behind a projection: some families normalise what a block adds, or its sum with the stream."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from evop.errors import NOT_FINITE, EvopError
from evop.model.families.family import Block

LEAST_GAIN = 1e-3
"""Least gain of a channel, in mean gains: dividing by less would magnify noise."""


@dataclass(frozen=True)
class NormBehind:
    """A norm that what a block puts out goes through before, or after, it is added to the stream.

    To first order a norm multiplies by a gain for each channel, and divides by a size for each token. So what should
    come out behind it is divided by the gain, and inputs by the size; then the projection is linear again.

    Attributes:
        gain: gain of each channel, [hidden].
        of_sum: whether it reads the sum with the stream (OPT-350m), and not the block's output alone (Gemma, OLMo 2).
    """

    gain: torch.Tensor
    of_sum: bool

    @classmethod
    def of(
        cls, layer: nn.Module, block: Block, before: torch.Tensor, out: torch.Tensor, behind: torch.Tensor
    ) -> NormBehind | None:
        """Find the norm, if there is one.

        Args:
            layer: the decoder layer.
            block: its block.
            before: a stream in front of the block, [..., hidden].
            out: what its last projection made of it, of the same shape.
            behind: the stream behind the block.

        Raises:
            EvopError: streams that are not finite.
        """
        inside = block.adds != block.main
        total = before + out
        if not total.isfinite().all():
            raise EvopError(f"what goes through {block.out} is not finite; {NOT_FINITE}")
        if not inside and torch.allclose(behind, total, rtol=1e-2, atol=1e-2 * float(total.abs().max())):
            return None
        norm = layer.get_submodule(block.adds if inside else block.norms[0])
        probe = torch.ones(out.shape[-1], dtype=out.dtype, device=out.device)
        probe[1::2] = -1  # of mean 0 and size 1, so that norms of either kind multiply it by their gain alone
        gain = ((norm(probe) - norm(-probe)) / 2 * probe).float()
        least = LEAST_GAIN * float(gain.abs().mean())
        return cls(torch.where(gain.abs() < least, torch.full_like(gain, least), gain), not inside)

    def size(self, before: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """What each token is divided by: [..., hidden] -> [..., 1]."""
        read = (before + out if self.of_sum else out).float()
        read = read - read.mean(dim=-1, keepdim=True) if self.of_sum else read
        return read.square().mean(dim=-1, keepdim=True).sqrt().clamp_min(1e-6)
