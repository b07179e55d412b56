"""Accuracy on questions with choices."""

from __future__ import annotations

import numpy as np

from evop.tokens.items import TokenItem


class Accuracy:
    """Counts wrong answers, the choice of the highest log-likelihood being the answer; margins break ties.

    The loss of a question is 1 where the answer is wrong, plus margin / 2n. The margin says how far the right choice is
    behind the best other one, squashed into [0, 1); n is the number of questions of the group. So the mean over a group
    is its share of wrong answers and less than half a question more: margins rank patterns that answer equally many
    questions, so that a search does not stand on a plateau, and all of them together never outweigh one question.

    Source: log-likelihood scoring as in lm-evaluation-harness (``acc``); of equal choices the first is the answer.
    """

    floor = 0.0

    def right(self, nll: np.ndarray, items: list[TokenItem]) -> np.ndarray:
        """Say which questions are answered rightly, bool [..., items]."""
        return self.costs(nll, items).argmin(axis=-1) == np.array([item.gold for item in items])

    def __call__(self, nll: np.ndarray, items: list[TokenItem]) -> np.ndarray:
        """Measure the loss of each question, as a share of a question: float64 [..., items]."""
        costs = self.costs(nll, items)
        gold = np.array([item.gold for item in items])
        right_costs = np.take_along_axis(costs, np.broadcast_to(gold[:, None], (*costs.shape[:-1], 1)), axis=-1)[..., 0]
        finite = np.isfinite(right_costs) & ~np.isnan(costs).any(axis=-1)
        others = np.where(np.arange(costs.shape[-1]) == gold[:, None], np.inf, costs)
        behind = np.where(finite, right_costs, 0.0) - np.where(finite, others.min(axis=-1), 0.0)
        margin = (1 + behind / (1 + np.abs(behind))) / 2
        sizes = np.array([item.group_size for item in items])
        return np.where(finite, ~self.right(nll, items) + margin / (2 * sizes), np.nan)

    def costs(self, nll: np.ndarray, items: list[TokenItem]) -> np.ndarray:
        """Say what choices are compared by, in nats; the least is the answer."""
        return nll


class NormalisedAccuracy(Accuracy):
    """Counts wrong answers with log-likelihoods per character, so that long choices are not at a disadvantage.

    Source: ``acc_norm`` of lm-evaluation-harness.
    """

    def costs(self, nll: np.ndarray, items: list[TokenItem]) -> np.ndarray:
        """Say what choices are compared by, in nats per character; the least is the answer."""
        characters = np.ones((len(items), nll.shape[-1]))
        for row, item in zip(characters, items, strict=True):
            row[: len(item.characters)] = item.characters
        return nll / characters
