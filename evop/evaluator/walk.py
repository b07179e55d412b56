"""The walk of one batch of passages through all cuts of a round: each common beginning is run once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

from evop.evaluator.dense_cache import DenseCache, Key
from evop.evaluator.layer_stack import LayerStack
from evop.evaluator.prefixes import DENSE, GONE, Node, PrefixTree, Step
from evop.evaluator.profile import Profile
from evop.losses import Meter
from evop.tokens.batches import Layout

LOGIT_BYTES = {"cpu": 1 << 23, "cuda": 1 << 29, "mps": 1 << 27}
"""Bytes of float32 logits that are made in one go: what fits a CPU's cache, what keeps a GPU busy."""
TARGET_BYTES = 1 << 28
"""Bytes of the dense model's logits on a batch that are kept while its cuts are measured; the rest is made again."""


class _Pending(NamedTuple):
    """A step that waits to be run.

    Attributes:
        step: the step.
        node: the prefix that it leads to.
        stream: the residual stream that it starts from.
        dense: whether every step before it was one of the dense model.
    """

    step: Step
    node: Node
    stream: torch.Tensor
    dense: bool


@dataclass
class Walk:
    """Runs one batch through all cuts.

    Attributes:
        stack: the model, opened.
        tree: the cuts, written together.
        meter: turns logits into losses.
        cache: the dense streams that are kept.
        profile: counts time and tokens.
        key: what the cache knows the batch by.
        layout: the batch.
        share: fraction of the padded tokens measured together that the batch has.
    """

    stack: LayerStack
    tree: PrefixTree
    meter: Meter
    cache: DenseCache
    profile: Profile
    key: Key
    layout: Layout
    share: float

    def __post_init__(self) -> None:
        self._dense_rows: torch.Tensor | None = None
        self._targets: dict[int, torch.Tensor] = {}

    def losses(self) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Run all cuts.

        Yields:
            The indices of cuts that are equal, and their summed loss per line in nats, float64 [lines].
        """
        with self.profile.timing("before the layers"):
            entered = self.stack.enter(self.layout)
        if self.meter.needs_dense:
            with self.profile.timing("dense targets"):
                self._dense_rows = self._rows(self._dense_end(entered))
        waiting = [_Pending(step, node, entered, True) for step, node in self.tree.root.heavy_first]
        while waiting:
            # Taken from the end: the lightest branch first. The heaviest, taken last, lets go of what it starts from,
            # so that no more than log2 of the cuts' number of streams wait at any time.
            node, stream, dense = self._run(waiting.pop())
            if not node.children:
                yield node.cuts, self._loss(self._rows(stream))
            waiting += [_Pending(step, child, stream, dense) for step, child in node.heavy_first]

    def _run(self, pending: _Pending) -> tuple[Node, torch.Tensor, bool]:
        """Run a step.

        Returns:
            The prefix that the step leads to, the stream behind it, and whether that is the dense model's stream.
        """
        step, node, stream, dense = pending
        if not step.ends_layer and len(node.children) == 1:
            # Nothing branches off between attention and MLP: the layer is run as one.
            ((behind, node),) = node.children.items()
            step = step.joined(behind)
        # One step that differs, and the stream is the dense model's no more, whatever follows.
        dense = dense and step.is_dense
        # Streams are kept between layers only: half of them would serve hardly more patterns.
        kept_after = step.layer + 1 if dense and step.ends_layer else None
        tokens = self.layout.ids.numel() * step.blocks / (2 * len(self.stack.layers))
        if kept_after is not None and (kept := self.cache.get(self.key, kept_after)) is not None:
            self.profile.cached += tokens
            return node, kept, True
        with self.profile.timing("blocks"):
            stream = self.stack.run(step.layer, step.attn or GONE, step.mlp or GONE, stream)
        self.profile.block_tokens += tokens
        if kept_after is not None:
            self.cache.offer(self.key, kept_after, stream, self.share)
        return node, stream, dense

    def _dense_end(self, entered: torch.Tensor) -> torch.Tensor:
        """Run all layers of the dense model: the stream behind the last, [batch, length, hidden]."""
        layers = len(self.stack.layers)
        kept = self.cache.get(self.key, layers)
        if kept is not None:
            return kept
        stream = entered
        for layer in range(layers):
            stream = self.stack.run(layer, DENSE, DENSE, stream)
        self.profile.block_tokens += self.layout.ids.numel()
        self.cache.keep(self.key, layers, stream)
        return stream

    def _rows(self, stream: torch.Tensor) -> torch.Tensor:
        """Take the stream where something is predicted: [n, hidden]."""
        return stream.flatten(0, 1).index_select(0, self.layout.at.to(stream.device))

    def _loss(self, rows: torch.Tensor) -> torch.Tensor:
        """Measure the stream where something is predicted: summed loss per line in nats, float64 [lines]."""
        with self.profile.timing("head and loss"):
            size = max(1, LOGIT_BYTES[rows.device.type] // (4 * self.stack.vocabulary))
            pieces = []
            for start in range(0, len(rows), size):
                logits = self.stack.logits(rows[start : start + size])
                wanted = self.layout.wanted[start : start + size].to(logits.device)
                pieces.append(self.meter(logits, wanted, self._target(start, size)))
            sums = torch.zeros(self.layout.lines, dtype=torch.float64)
            return sums.index_add_(0, self.layout.line, torch.cat(pieces).cpu().double())

    def _target(self, start: int, size: int) -> torch.Tensor | None:
        """Make the dense model's logits at some of the positions; None where the meter does not need them."""
        if self._dense_rows is None:
            return None
        if start not in self._targets:
            logits = self.stack.logits(self._dense_rows[start : start + size])
            if logits.nbytes + sum(kept.nbytes for kept in self._targets.values()) > TARGET_BYTES:
                return logits
            self._targets[start] = logits
        return self._targets[start]
