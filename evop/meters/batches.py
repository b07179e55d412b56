"""Passages of like length in one forward pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evop.tokens import TokenPassages

PAD = 0
IGNORED = -100
LEAST_FULL = 0.5
"""A passage joins a batch where it is at least that much of the longest: short batches cost more than some padding."""


def batches(passages: TokenPassages, batch_tokens: int) -> list[list[int]]:
    """Indices of passages that share a forward pass, longest first: of one group, and not of very different length.

    Batches of one group, so that its loss is the same to the last bit whichever other groups are measured with it.
    """
    order = sorted(range(len(passages.ids)), key=lambda i: (passages.groups[i], -len(passages.ids[i]), i))
    found: list[list[int]] = []
    for i in order:
        if found and _fits(passages, found[-1], i, batch_tokens):
            found[-1].append(i)
        else:
            found.append([i])
    return sorted(found, key=lambda batch: -len(batch) * len(passages.ids[batch[0]]))


def _fits(passages: TokenPassages, batch: Sequence[int], i: int, batch_tokens: int) -> bool:
    longest = len(passages.ids[batch[0]])
    alike = passages.groups[i] == passages.groups[batch[0]] and len(passages.ids[i]) >= LEAST_FULL * longest
    return alike and (len(batch) + 1) * longest <= batch_tokens


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
