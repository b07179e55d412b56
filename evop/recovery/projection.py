"""The last projection of one block that stays, while its new weight is looked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from evop.model.families.family import Block
from evop.model.loaded import LoadedModel
from evop.recovery.norms import NormBehind
from evop.recovery.solve import NormalSums
from evop.recovery.streams import Batch
from evop.removal.compensation import stored_dtype
from evop.removal.cut import Cut, Place, Weight, part_name
from evop.removal.masking import features_of

FREE = ("chain", "both", "single")
"""Methods that change every number of a weight."""
FACTORS = ("diagonal", "linearpatch")
"""Methods that change a weight by one factor a channel of what it puts out."""


@dataclass
class Projection:
    """A last projection, and the sums that its new weight is solved from.

    Attributes:
        place: the block.
        layer: the decoder layer.
        block: the names of its modules.
        inner: the projection.
        old: its weight, what stays of it, float32 [hidden, features that stay].
        stays: which input features stay, bool [features], or None for all of them.
        dtype: the dtype that the weight is stored in.
        bias: what the cut adds to its output, [hidden], or None.
        method: how it is refitted.
        parallel: whether another block adds to the stream at the same time.
    """

    place: Place
    layer: nn.Module
    block: Block
    inner: nn.Module
    old: torch.Tensor
    stays: torch.Tensor | None
    dtype: torch.dtype
    bias: torch.Tensor | None
    method: str
    parallel: bool
    _sums: NormalSums = field(init=False)
    _norm: NormBehind | None = None
    _begun: bool = False

    def __post_init__(self) -> None:
        self._sums = NormalSums(part_name(*self.place))

    @classmethod
    def of(cls, loaded: LoadedModel, layer: nn.Module, place: Place, cut: Cut, method: str) -> Projection:
        """Find the projection of a block in its layer, and what stays of its weight under a cut."""
        kind, _ = place
        block = loaded.family.block(kind)
        inner = layer.get_submodule(block.out)
        own = inner.get_parameter("weight").detach()
        old, stays = (own if block.out_axis == 1 else own.T).float(), None
        if place in cut.kept:
            stays = features_of(cut.kept[place], loaded.family.units(loaded.model.config, kind), old.shape[1])
            stays = stays.to(old.device)
            old = old[:, stays]
        parallel = loaded.family.is_parallel(loaded.model.config)
        bias = torch.from_numpy(cut.bias[place]).to(own) if place in cut.bias else None
        return cls(place, layer, block, inner, old, stays, stored_dtype(loaded, place), bias, method, parallel)

    @contextmanager
    def watched(self) -> Iterator[list[tuple[torch.Tensor, torch.Tensor]]]:
        """Note what the projection reads and puts out, call by call, for the length of a ``with`` block."""
        seen: list[tuple[torch.Tensor, torch.Tensor]] = []

        def note(_module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            seen.append((inputs[0], output))

        handle = self.inner.register_forward_hook(note)
        try:
            yield seen
        finally:
            handle.remove()

    def add(
        self,
        batch: Batch,
        read: torch.Tensor,
        out: torch.Tensor,
        streams: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    ) -> None:
        """Add a batch to the sums.

        Args:
            batch: the batch.
            read: what the projection read, [batch, length, features] or [batch * length, features].
            out: what it put out, [batch, length, hidden] or [batch * length, hidden].
            streams: the stream in front of the block, behind it, and what it should be behind it, each
                [batch, length, hidden].
        """
        # Some architectures fold batch and length before they project.
        read, out, before, behind, wanted = (each.flatten(0, -2) for each in (read, out, *streams))
        whole = out if self.bias is None else out + self.bias
        if not self._begun:
            self._begun = True
            if not self.parallel:  # families that add both blocks to the stream at once have no norm behind them
                self._norm = NormBehind.of(self.layer, self.block, before, whole, behind)
        rows = batch.rows.to(out.device)
        error = (wanted.float() - behind.float())[rows]
        if self.method in FREE:
            inputs = (read if self.stays is None else read[..., self.stays]).float()[rows]
        else:
            bias = getattr(self.inner, "bias", None)
            inputs = (out if bias is None else out - bias).float()[rows]
        if self._norm is not None:
            error = error / self._norm.gain
            inputs = inputs / self._norm.size(before, whole)[rows]
        counts = batch.counts(inputs, error)
        if self.method == "linearpatch":
            inputs, error = hadamard(inputs), hadamard(error)
        self._sums.add(inputs, error, counts)

    def weight(self, ridge: float) -> Weight:
        """Solve for the new weight.

        Raises:
            EvopError: inputs that are not finite.
        """
        if self.method in FACTORS:
            turned = hadamard if self.method == "linearpatch" else _as_it_is
            factors = self._sums.factors(ridge).to(self.old)
            new = self.old + turned(turned(self.old.T) * factors).T
        else:
            change = self._sums.solved(ridge).T.to(self.old)
            new = self.old + (change if self.method in FREE else change @ self.old)
        return Weight(new.to(self.dtype).cpu().contiguous())


def hadamard(values: torch.Tensor) -> torch.Tensor:
    """Transform the last axis by a Hadamard matrix over the root of its order; done twice, it is undone.

    The largest power of two that goes into the length is the order: channels are transformed in runs of so many.

    Args:
        values: [..., channels].

    Source: Sylvester's construction, as a fast Walsh-Hadamard transform.
    """
    channels = values.shape[-1]
    order = channels & -channels
    out, half = values.reshape(-1, order), 1
    while half < order:
        first, second = out.reshape(-1, order // (2 * half), 2, half).unbind(2)
        out = torch.stack([first + second, first - second], 2).reshape(-1, order)
        half *= 2
    return (out / order**0.5).reshape(values.shape)


def _as_it_is(values: torch.Tensor) -> torch.Tensor:
    return values
