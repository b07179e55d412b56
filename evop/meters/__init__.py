"""Meters: what is measured of a model's predictions, the table of all of them, and the protocol."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from evop.errors import refuse_unknown

if TYPE_CHECKING:
    import torch


class Meter(Protocol):
    """Turns predictions into losses."""

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


METERS: dict[str, str] = {"nll": "evop.meters.next_token:NextToken", "kl": "evop.meters.divergence:Divergence"}
"""``--loss`` -> ``module:class``; a class is built without arguments. Imported when used."""


def make_meter(loss: str) -> Meter:
    """Build a meter by name.

    Raises:
        EvopError: unknown name.
    """
    refuse_unknown("--loss", loss, METERS)
    module, _, name = METERS[loss].partition(":")
    return getattr(import_module(module), name)()
