"""Kullback-Leibler divergence of a pruned model from the dense one on passages."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from evop.losses import LossTable
from evop.meters import Mask
from evop.meters.batches import IGNORED, batches, padded
from evop.tokens import TokenPassages

REMEMBERED_BYTES = 1 << 30
"""Logits of the dense model that are kept between patterns; the rest is computed again for each."""


class Divergence:
    """KL(dense || pruned) over the vocabulary at every scored position, in nats a token; 0 for the dense model.

    The dense model's logits are kept as it gave them, up to ``REMEMBERED_BYTES``.

    Source: EvoPress (arXiv 2410.14649), fitness function; here over the whole vocabulary.
    """

    def __init__(self) -> None:
        self._remembered: dict[tuple[str, tuple[int, ...]], torch.Tensor] = {}
        self._bytes = 0
        self._batch_tokens = 0

    @torch.inference_mode()
    def __call__(self, model: nn.Module, mask: Mask, passages: TokenPassages, batch_tokens: int) -> LossTable:
        """The summed divergence of the masked model from the dense one on every passage, in float64."""
        if batch_tokens != self._batch_tokens:  # other batches: what was kept would never be asked for again
            self._remembered, self._bytes, self._batch_tokens = {}, 0, batch_tokens
        device = next(model.parameters()).device
        loss = np.zeros(len(passages.ids))
        for batch in batches(passages, batch_tokens):
            ids, wanted = padded(passages, batch)
            dense = self._dense(model, ids.to(device), (passages.fingerprint, tuple(batch)))
            with mask() as masked:
                logits = masked(input_ids=ids.to(device), use_cache=False).logits
            for row, i in enumerate(batch):
                scored = wanted[row] != IGNORED
                pruned = functional.log_softmax(logits[row, :-1][scored.to(device)].float(), dim=-1)
                target = functional.log_softmax(dense[row, :-1][scored.to(device)].float(), dim=-1)
                loss[i] = (target.exp() * (target - pruned)).sum(-1).double().sum().item()
        return LossTable(passages.groups, loss, passages.scored)

    def _dense(self, model: nn.Module, ids: torch.Tensor, key: tuple[str, tuple[int, ...]]) -> torch.Tensor:
        """Logits of the dense model [batch, length, vocabulary]."""
        if key in self._remembered:
            return self._remembered[key]
        found = model(input_ids=ids, use_cache=False).logits
        if self._bytes + found.nbytes <= REMEMBERED_BYTES:
            self._remembered[key] = found
            self._bytes += found.nbytes
        return found
