"""Accuracy on questions with choices."""

from __future__ import annotations

import numpy as np

from evop.tokens.items import TokenItem


class Accuracy:
    """Items answered wrongly, the choice of the highest log-likelihood being the answer; ties order by margin.

    The loss of an item is 1 where the answer is wrong, plus its margin, squashed into [0, 1), over 2n, where n is the
    number of items of its group. The mean over a group is thus its share of wrong items, and less than half an item
    more: the margins order what answers equally many, so that a search does not stand on a plateau, and never outvote
    an item.

    Source: log-likelihood scoring as in lm-evaluation-harness (``acc``); of equal choices the first is the answer.
    """

    floor = 0.0

    def right(self, nll: np.ndarray, items: list[TokenItem]) -> np.ndarray:
        """Whether each item is answered rightly, bool [..., items]."""
        return self.costs(nll, items).argmin(axis=-1) == np.array([item.gold for item in items])

    def __call__(self, nll: np.ndarray, items: list[TokenItem]) -> np.ndarray:
        """The loss of each item, float64 [..., items]."""
        costs = self.costs(nll, items)
        gold = np.array([item.gold for item in items])
        own = np.take_along_axis(costs, np.broadcast_to(gold[:, None], (*costs.shape[:-1], 1)), axis=-1)[..., 0]
        sound = np.isfinite(own) & ~np.isnan(costs).any(axis=-1)
        others = np.where(np.arange(costs.shape[-1]) == gold[:, None], np.inf, costs)
        lost = np.where(sound, own, 0.0) - np.where(sound, others.min(axis=-1), 0.0)
        squashed = (1 + lost / (1 + np.abs(lost))) / 2
        sizes = np.array([item.group_size for item in items])
        return np.where(sound, ~self.right(nll, items) + squashed / (2 * sizes), np.nan)

    def costs(self, nll: np.ndarray, items: list[TokenItem]) -> np.ndarray:
        """What the choices are compared by; the least is the answer."""
        return nll


class NormalisedAccuracy(Accuracy):
    """The same with log-likelihoods divided by the characters of each choice, so that long ones are not at a loss.

    Source: ``acc_norm`` of lm-evaluation-harness.
    """

    def costs(self, nll: np.ndarray, items: list[TokenItem]) -> np.ndarray:
        """What the choices are compared by: nats a character."""
        characters = np.ones((len(items), nll.shape[-1]))
        for row, item in zip(characters, items, strict=True):
            row[: len(item.characters)] = item.characters
        return nll / characters
