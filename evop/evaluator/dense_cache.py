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
        """What comes from now on is measured together; it shares out the room that is left."""
        self._room = None

    def get(self, key: Key, step: int) -> torch.Tensor | None:
        """The dense stream before a step of a batch, or None."""
        return self._streams.get(key, {}).get(step)

    def offer(self, key: Key, step: int, stream: torch.Tensor, share: float) -> None:
        """Keep a stream between two layers, if its layer is among those that there is room for.

        Args:
            key: of the batch.
            step: before which it flows; earlier ones are offered first.
            stream: [batch, length, hidden].
            share: of the padded tokens measured together that the batch has.
        """
        if self._room is None:
            self._room = int((self.bytes - self.used) * share / stream.nbytes)
        if len(self._streams.get(key, {})) < self._room:
            self.keep(key, step, stream)

    def keep(self, key: Key, step: int, stream: torch.Tensor) -> None:
        """Keep a stream if there is room at all."""
        kept = self._streams.setdefault(key, {})
        if step not in kept and self.used + stream.nbytes <= self.bytes:
            kept[step] = stream
            self.used += stream.nbytes
