"""A look at all groups: how much each loses beside the dense model, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from evop.errors import EvopError
from evop.losses.means import TAILS, Means, document_means, quantile
from evop.tokens.batches import IGNORED, batches, padded
from evop.tokens.passages import TokenPassages

Predict = Callable[[torch.Tensor], torch.Tensor]
"""Token ids [rows, length] -> logits [rows, length, vocabulary]."""


@torch.inference_mode()
def text_losses(predict: Predict, passages: TokenPassages, device: torch.device, batch_tokens: int) -> np.ndarray:
    """Measure the next-token loss of passages of text.

    Returns:
        Summed loss of every passage in nats, its first token left out, float64 [passages].
    """
    losses = np.zeros(len(passages.ids))
    for batch in batches(passages, batch_tokens):
        ids, wanted = padded(passages, batch)
        logits = predict(ids.to(device))[:, :-1].float()
        nats = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), wanted.to(device).flatten(), ignore_index=IGNORED, reduction="none"
        )
        losses[batch] = nats.view(wanted.shape).double().sum(-1).cpu().numpy()
    return losses


@dataclass(frozen=True)
class Look:
    """What one look found.

    Attributes:
        groups: group keys.
        excess: excess of each group, float64 [groups], nats per token.
        error: standard error of each excess, float64 [groups].
        upper: upper end of the 95% interval of each excess, float64 [groups].
    """

    groups: tuple[str, ...]
    excess: np.ndarray
    error: np.ndarray
    upper: np.ndarray

    @property
    def by_group(self) -> dict[str, float]:
        """Excess of each group."""
        return dict(zip(self.groups, map(float, self.excess), strict=True))


class Watched:
    """The passages of ``select`` that are looked at, and what the dense model loses on them.

    Args:
        passages: text of ``select``.
        dense: summed loss of the dense model on each, float64 [passages].
    """

    def __init__(self, passages: TokenPassages, dense: np.ndarray) -> None:
        self.passages, self.dense = passages, dense
        self.groups = tuple(dict.fromkeys(passages.groups))
        self._owner = _numbers(passages.documents)
        self._group = _numbers(passages.groups)

    def look(self, losses: np.ndarray) -> Look:
        """Compare losses with the dense model's.

        The error is that of the documents of a group, drawn towards what is common to all groups: of the handful of
        documents that ``select`` holds of a group, their own spread says little.

        Args:
            losses: summed loss of each passage, float64 [passages].

        Raises:
            EvopError: a loss is not a number.
        """
        if not np.isfinite(losses).all():
            raise EvopError("the losses on select are not finite; lower --learning-rate")
        means = document_means(losses - self.dense, self.passages.counts.astype(float), self._owner, self._group)
        error, freedom = errors_of(means)
        return Look(self.groups, means.value, error, means.value + quantile(TAILS[1], freedom) * error)


def errors_of(means: Means) -> tuple[np.ndarray, np.ndarray]:
    """Estimate standard errors and degrees of freedom; infinite ones where every group has a single document."""
    if not np.isfinite(means.spread).any():
        return np.full(len(means.value), np.inf), np.ones(len(means.value))
    return means.moderated()


def _numbers(names: tuple[str, ...]) -> np.ndarray:
    """Number names in order of first appearance, int64."""
    at: Mapping[str, int] = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([at[name] for name in names])
