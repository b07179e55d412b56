"""The loss of healing: how far the pruned model's next word is from the dense model's, and from the text's."""

from __future__ import annotations

from dataclasses import dataclass

import torch

LEAST = 1e-6
"""Least chance that all words beyond the likeliest count with; below, float32 knows no difference from 1."""


@dataclass(frozen=True)
class Target:
    """What the dense model says at some positions.

    Attributes:
        words: the likeliest words, int64 [n, k].
        chances: their chances and, last, that of all other words together, float32 [n, k + 1]; where k is the whole
            vocabulary the last is missing.
    """

    words: torch.Tensor
    chances: torch.Tensor


def target_of(logits: torch.Tensor, k: int) -> Target:
    """Keep what is learned of the dense model's predictions.

    Args:
        logits: float32 [n, vocabulary].
        k: how many of the likeliest words are told apart.
    """
    logits = logits.float()
    k = min(k, logits.shape[1])
    top, words = logits.topk(k, dim=-1)
    chances = (top - logits.logsumexp(-1, keepdim=True)).exp()
    return Target(words, chances if k == logits.shape[1] else _with_rest(chances))


def distillation_loss(logits: torch.Tensor, target: Target, wanted: torch.Tensor, nll: float) -> torch.Tensor:
    """Add the losses of some positions up, in nats: KL(dense || pruned), and a share of the next-token loss.

    The divergence is over the likeliest words and the rest as one more word. Renormalised over the likeliest words
    alone, nothing would keep the pruned model from giving the others whatever chance it likes.

    Args:
        logits: the pruned model's, float32 [n, vocabulary].
        target: what the dense model says there.
        wanted: the words that follow in the text, int64 [n].
        nll: how much of the next-token loss is added.

    Source: Hinton et al. (arXiv 1503.02531) at temperature 1, forward direction; the top of the vocabulary as in
    common practice.
    """
    logits = logits.float()
    log_sum = logits.logsumexp(-1)
    own = logits.gather(1, target.words) - log_sum[:, None]
    if target.chances.shape[1] > own.shape[1]:
        own = torch.cat([own, _rest(own.exp()).log()], dim=1)
    divergence = torch.xlogy(target.chances, target.chances) - target.chances * own
    next_token = log_sum - logits.gather(1, wanted[:, None])[:, 0]
    return divergence.sum() + nll * next_token.sum()


def _with_rest(chances: torch.Tensor) -> torch.Tensor:
    return torch.cat([chances, _rest(chances)], dim=1)


def _rest(chances: torch.Tensor) -> torch.Tensor:
    return (1 - chances.sum(-1, keepdim=True)).clamp_min(LEAST)
