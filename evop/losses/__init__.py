"""Meters: what is measured of a model's predictions, the tables of all of them, and the protocols."""

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
    """Whether it looks at what the dense model predicts too."""
    floor: float
    """What no loss can be less than."""

    def __call__(self, logits: torch.Tensor, wanted: torch.Tensor, dense: torch.Tensor | None) -> torch.Tensor:
        """The loss at each position, in nats.

        Args:
            logits: [n, vocabulary], of the pruned model.
            wanted: int64 [n], the tokens that do follow.
            dense: [n, vocabulary], the dense model's logits; None where they are not needed.

        Returns:
            float32 [n].
        """


class ItemMeter(Protocol):
    """Turns what every choice of some items costs into their losses."""

    floor: float
    """What no loss can be less than."""

    def right(self, nll: np.ndarray, items: list[TokenItem]) -> np.ndarray:
        """Whether each item is answered rightly, bool [..., items]; arguments as for a call."""

    def __call__(self, nll: np.ndarray, items: list[TokenItem]) -> np.ndarray:
        """The loss of each item.

        Args:
            nll: float64 [..., items, choices], summed next-token loss of every choice in nats; infinite where an item
                has no such choice.
            items: what they are made of.

        Returns:
            float64 [..., items].
        """


METERS: dict[str, str] = {"nll": "evop.losses.next_token:NextToken", "kl": "evop.losses.divergence:Divergence"}
"""``--loss`` of text -> ``module:class``; a class is built without arguments. Imported when used."""
ITEM_METERS: dict[str, str] = {
    "accuracy": "evop.losses.accuracy:Accuracy",
    "accuracy_norm": "evop.losses.accuracy:NormalisedAccuracy",
}
"""``--loss`` of items -> ``module:class``, as for text."""


def made(place: str) -> Any:
    """Build a meter from ``module:class``."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)()
