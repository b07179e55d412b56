"""Meters: what is measured of a model's predictions, the tables of all of them, and the protocols."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from evop.errors import EvopError, refuse_unknown

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


def losses_of(loss: str) -> tuple[str | None, str | None]:
    """What a ``--loss`` measures of text, and of items; None where it leaves them out.

    Raises:
        EvopError: an unknown name, or two for the same.

    Example:
        >>> losses_of("nll+accuracy"), losses_of("kl")
        (('nll', 'accuracy'), ('kl', None))
    """
    names = loss.split("+")
    for name in names:
        refuse_unknown("--loss", name, [*METERS, *ITEM_METERS])
    text, items = ([name for name in names if name in table] for table in (METERS, ITEM_METERS))
    if max(len(text), len(items)) > 1:
        known = f"one of {', '.join(METERS)}, one of {', '.join(ITEM_METERS)}"
        raise EvopError(f"--loss {loss}: expected {known}, or one of each joined by +")
    return text[0] if text else None, items[0] if items else None


def make_meter(loss: str | None) -> Meter:
    """Build a meter of text by name; that of the next token where there is none to measure."""
    return _made(METERS[loss or "nll"])


def make_item_meter(loss: str | None) -> ItemMeter:
    """Build a meter of items by name; plain accuracy where there are none to measure."""
    return _made(ITEM_METERS[loss or "accuracy"])


def floor_of(loss: str) -> float:
    """What no group's loss can be less than."""
    text, items = losses_of(loss)
    floors = [make_meter(text).floor] if text else []
    return min([*floors, *([make_item_meter(items).floor] if items else [])])


def lost_of(loss: str) -> str:
    """What a search by a loss calls what a group lost."""
    text, items = losses_of(loss)
    return {"nll": "excess", "kl": "divergence"}[text] if text and not items else "loss" if text else "loss of accuracy"


def unit_of(loss: str) -> str:
    """In what it is counted, where it is not scaled."""
    text, items = losses_of(loss)
    return "nats a token, or share of the items" if text and items else "nats a token" if text else "share of the items"


def _made(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)()
