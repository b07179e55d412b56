"""Next-token loss of a model on passages."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from evop.losses import LossTable
from evop.meters import Mask
from evop.meters.batches import IGNORED, batches, padded
from evop.tokens import TokenPassages


class NextToken:
    """Mean next-token loss; the first token of a passage is never scored."""

    def __call__(self, model: nn.Module, mask: Mask, passages: TokenPassages, batch_tokens: int) -> LossTable:
        """The loss of the masked model on every passage."""
        with mask() as masked:
            return next_token_losses(masked, passages, batch_tokens)


@torch.inference_mode()
def next_token_losses(model: nn.Module, passages: TokenPassages, batch_tokens: int) -> LossTable:
    """Summed next-token loss of every passage.

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
        ids, wanted = padded(passages, batch)
        logits = model(input_ids=ids.to(device), use_cache=False).logits
        for row, i in enumerate(batch):
            scored = functional.cross_entropy(
                logits[row, :-1].float(), wanted[row].to(device), ignore_index=IGNORED, reduction="none"
            )
            loss[i] = scored.double().sum().item()
    return LossTable(passages.groups, loss, passages.scored)
