"""Next-token loss of a model on passages."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from evop.losses import LossTable
from evop.tokens import TokenPassages

PAD = 0
IGNORED = -100


@torch.inference_mode()
def next_token_losses(model: nn.Module, passages: TokenPassages, batch_tokens: int) -> LossTable:
    """Summed next-token loss of every passage; the first token of a passage is never scored.

    Passages of like length share a batch, padded on the right: in a causal model what follows a token cannot
    change its loss, so no attention mask is needed.

    Args:
        model: a causal language model, as it stands (masked or not).
        passages: token ids.
        batch_tokens: padded tokens of one forward pass at most (at least one passage).

    Returns:
        Losses in the order of the passages, summed in float64.
    """
    device = next(model.parameters()).device
    loss = np.zeros(len(passages.ids))
    for batch in batches(passages, batch_tokens):
        ids, wanted = (tensor.to(device) for tensor in padded(passages, batch))
        logits = model(input_ids=ids, use_cache=False).logits
        for row, i in enumerate(batch):
            scored = functional.cross_entropy(
                logits[row, :-1].float(), wanted[row], ignore_index=IGNORED, reduction="none"
            )
            loss[i] = scored.double().sum().item()
    return LossTable(passages.groups, loss, passages.scored)


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


def padded(passages: TokenPassages, batch: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The passages of one batch, padded on the right.

    Returns:
        Token ids, int64 [rows, longest], and the token that follows each, int64 [rows, longest - 1]; ``IGNORED``
        where none does.
    """
    longest = max(len(passages.ids[i]) for i in batch)
    ids = [[*passages.ids[i], *[PAD] * (longest - len(passages.ids[i]))] for i in batch]
    wanted = [[*passages.ids[i][1:], *[IGNORED] * (longest - len(passages.ids[i]))] for i in batch]
    return torch.tensor(ids), torch.tensor(wanted)
