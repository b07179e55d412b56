"""Meters: what a pattern loses on passages, the table of all of them, and the protocol.

A meter is given the dense model and a way to mask it, so that it may look at both.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from evop.errors import refuse_unknown
from evop.losses import LossTable
from evop.tokens import TokenPassages

if TYPE_CHECKING:
    from torch import nn

Mask = Callable[[], "AbstractContextManager[nn.Module]"]
"""Gives the masked model for the length of a ``with`` block."""


class Meter(Protocol):
    """Measures one pattern."""

    def __call__(self, model: nn.Module, mask: Mask, passages: TokenPassages, batch_tokens: int) -> LossTable:
        """The summed loss of every passage, in nats; at most ``batch_tokens`` padded tokens in one forward pass."""


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
