"""The cache of the dense model: its residual streams between layers, kept from round to round within a bound."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

Key = tuple[tuple[int, ...], ...]
"""The token ids of a batch."""


@dataclass
class DenseCache:
    """Keeps what the dense model's layers put out, as many layers from the first on as there is room for.

    Patterns begin like the dense model up to the first part that leaves, so the first layers serve most of them.
    All batches that are measured together get the same number of layers; the room is dealt out as they come.

    Attributes:
        bytes: bytes of streams that are kept at most.
        used: bytes of streams that are kept.
    """

    bytes: int
    used: int = 0
    _streams: dict[Key, dict[int, torch.Tensor]] = field(default_factory=dict)
    _room: int | None = None
    """Layers per batch that there is room for; None before the first batch of a round has said how large it is."""

    def deal(self) -> None:
        """Begin to share the room that is left among the batches that come from now on: they are measured together."""
        self._room = None

    def get(self, key: Key, layers: int) -> torch.Tensor | None:
        """Look up the stream of a batch behind so many layers of the dense model; None where it is not kept."""
        return self._streams.get(key, {}).get(layers)

    def offer(self, key: Key, layers: int, stream: torch.Tensor, share: float) -> None:
        """Keep a stream between two layers, if its layer is among those that there is room for.

        Args:
            key: the batch.
            layers: number of layers that the stream has come through; a batch offers its streams in rising order.
            stream: [batch, length, hidden].
            share: fraction of the padded tokens measured together that the batch has.
        """
        if self._room is None:
            # The first batch decides for all: streams of a layer are of one size per token, so the share of the tokens
            # is the share of the bytes.
            self._room = int((self.bytes - self.used) * share / stream.nbytes)
        if len(self._streams.get(key, {})) < self._room:
            self.keep(key, layers, stream)

    def keep(self, key: Key, layers: int, stream: torch.Tensor) -> None:
        """Keep a stream if there is room for it at all; arguments as for ``offer``."""
        kept = self._streams.setdefault(key, {})
        if layers not in kept and self.used + stream.nbytes <= self.bytes:
            kept[layers] = stream
            self.used += stream.nbytes
