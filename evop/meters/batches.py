"""Passages of like length in one forward pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evop.tokens import TokenPassages

PAD = 0
IGNORED = -100


def batches(passages: TokenPassages, batch_tokens: int) -> list[list[int]]:
    """Indices of passages that share a forward pass: longest first, so that memory is known at once."""
    order = sorted(range(len(passages.ids)), key=lambda i: (-len(passages.ids[i]), i))
    found: list[list[int]] = []
    for i in order:
        if found and (len(found[-1]) + 1) * len(passages.ids[found[-1][0]]) <= batch_tokens:
            found[-1].append(i)
        else:
            found.append([i])
    return found


def padded(passages: TokenPassages, batch: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of a batch and what is to be predicted at each but the last position.

    Padding is on the right: in a causal model what follows a token cannot change its loss, so no attention mask is
    needed.

    Returns:
        int64 [batch, longest] and int64 [batch, longest - 1], ``IGNORED`` where nothing is.
    """
    longest = max(len(passages.ids[i]) for i in batch)
    gaps = [longest - len(passages.ids[i]) for i in batch]
    ids = torch.tensor([[*passages.ids[i], *[PAD] * gap] for i, gap in zip(batch, gaps, strict=True)])
    wanted = torch.tensor([[*passages.ids[i][1:], *[IGNORED] * gap] for i, gap in zip(batch, gaps, strict=True)])
    return ids, wanted
