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
HEAD_ROWS = {"cpu": 512, "cuda": 8192, "mps": 2048}
"""Positions that go through the head together. Many, and a slice of the vocabulary at a time: with few, a product with
the whole head spends its time on reading the head."""
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
        self._targets: dict[tuple[int, int], torch.Tensor] = {}

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
            pieces = [self._losses(rows, at) for at in self._pieces(rows)]
            sums = torch.zeros(self.layout.lines, dtype=torch.float64)
            return sums.index_add_(0, self.layout.line, torch.cat(pieces).cpu().double())

    def _pieces(self, rows: torch.Tensor) -> list[slice]:
        """Part the positions into pieces that go through the head together."""
        most = LOGIT_BYTES[rows.device.type] // (4 * self.stack.least_words)
        size = max(1, min(HEAD_ROWS[rows.device.type], most))
        return [slice(first, min(first + size, len(rows))) for first in range(0, len(rows), size)]

    def _losses(self, rows: torch.Tensor, at: slice) -> torch.Tensor:
        """Measure some of the positions: their losses in nats, [n]."""
        size = max(1, LOGIT_BYTES[rows.device.type] // (4 * (at.stop - at.start)))
        tally = None
        for words in self.stack.slices(size):
            logits = self.stack.logits(rows[at], words).float()
            tally = tally or self.meter.tally(self.layout.wanted[at].to(logits.device))
            tally.add(logits, words.start, self._target(at, words))
        assert tally is not None
        return tally.losses()

    def _target(self, at: slice, words: slice) -> torch.Tensor | None:
        """Make the dense model's logits at some of the positions; None where the meter does not need them."""
        if self._dense_rows is None:
            return None
        key = (at.start, words.start)
        if key not in self._targets:
            logits = self.stack.logits(self._dense_rows[at], words)
            if logits.nbytes + sum(kept.nbytes for kept in self._targets.values()) > TARGET_BYTES:
                return logits.float()
            self._targets[key] = logits
        return self._targets[key].float()
