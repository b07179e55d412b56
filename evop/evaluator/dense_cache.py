"""Streams of the dense model between its layers, kept from round to round within a bound."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

Key = tuple[tuple[int, ...], ...]
"""The token ids of a batch."""


@dataclass
class DenseCache:
    """What the dense model's layers put out, as many layers from the first on as there is room for.

    Patterns begin like the dense model up to the first part that leaves, so the first layers serve most of them.
    All batches that are measured together get the same number of layers; the room is dealt out as they come.

    Attributes:
        bytes: how much is kept at most.
        used: how much is kept.
    """

    bytes: int
    used: int = 0
    _streams: dict[Key, dict[int, torch.Tensor]] = field(default_factory=dict)
    _room: int | None = None

    def deal(self) -> None:
        """Share out the room that is left among what comes from now on: it is measured together."""
        self._room = None

    def get(self, key: Key, layers: int) -> torch.Tensor | None:
        """The stream of a batch behind so many layers of the dense model, or None."""
        return self._streams.get(key, {}).get(layers)

    def offer(self, key: Key, layers: int, stream: torch.Tensor, share: float) -> None:
        """Keep a stream between two layers, if its layer is among those that there is room for.

        Args:
            key: of the batch.
            layers: how many it has come through; fewer are offered first.
            stream: [batch, length, hidden].
            share: of the padded tokens measured together that the batch has.
        """
        if self._room is None:
            self._room = int((self.bytes - self.used) * share / stream.nbytes)
        if len(self._streams.get(key, {})) < self._room:
            self.keep(key, layers, stream)

    def keep(self, key: Key, layers: int, stream: torch.Tensor) -> None:
        """Keep a stream if there is room at all."""
        kept = self._streams.setdefault(key, {})
        if layers not in kept and self.used + stream.nbytes <= self.bytes:
            kept[layers] = stream
            self.used += stream.nbytes
