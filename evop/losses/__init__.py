"""Meters, which turn predictions into losses: their protocols, and the tables that name all of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch

    from evop.tokens.items import TokenItem


class Meter(Protocol):
    """Turns predictions into losses of text."""

    needs_dense: bool
    """Whether the meter compares with what the dense model predicts."""
    floor: float
    """The least loss there can be, in nats per token."""

    def tally(self, wanted: torch.Tensor) -> Tally:
        """Begin to measure some positions.

        Args:
            wanted: int64 [n], the tokens that do follow in the text.
        """


class Tally(Protocol):
    """Adds up the losses at some positions over slices of the vocabulary, so that no more is in memory at a time."""

    def add(self, logits: torch.Tensor, first: int, dense: torch.Tensor | None) -> None:
        """Take in the next words.

        Args:
            logits: float32 [n, words], of the pruned model.
            first: number of the first of these words in the vocabulary.
            dense: float32 [n, words], the dense model's logits; None where they are not needed.
        """

    def losses(self) -> torch.Tensor:
        """Return the loss at each position, in nats, [n], when all words were taken in."""


class ItemMeter(Protocol):
    """Turns what every choice of some questions costs into the losses of the questions."""

    floor: float
    """The least loss there can be, as a share of a question."""

    def right(self, nll: np.ndarray, items: list[TokenItem]) -> np.ndarray:
        """Say which questions are answered rightly, bool [..., items]; arguments as for a call."""

    def __call__(self, nll: np.ndarray, items: list[TokenItem]) -> np.ndarray:
        """Measure the loss of each question, as a share of a question.

        Args:
            nll: float64 [..., items, choices], next-token loss summed over every choice, in nats; infinite where a
                question has fewer choices than another.
            items: the questions, with their right answers.

        Returns:
            float64 [..., items].
        """


METERS: dict[str, str] = {
    "nll": "evop.losses.next_token:NextToken",
    "kl": "evop.losses.divergence:Divergence",
    "reconstruction": "evop.losses.reconstruction:Reconstruction",
}
"""Name of a loss of text -> ``module:class``; the class takes no arguments, and is imported when used."""
ITEM_METERS: dict[str, str] = {
    "accuracy": "evop.losses.accuracy:Accuracy",
    "accuracy_norm": "evop.losses.accuracy:NormalisedAccuracy",
}
"""Name of a loss of questions -> ``module:class``, as for text."""


def build_meter(address: str) -> Any:
    """Build a meter from ``module:class``."""
    module, _, name = address.partition(":")
    return getattr(import_module(module), name)()
