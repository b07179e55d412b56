"""The evaluator: measures many patterns of one model on passages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from evop.errors import EvopError
from evop.evaluator.batch_size import BatchSize, Result
from evop.evaluator.dense_cache import DenseCache
from evop.evaluator.layer_stack import LayerStack
from evop.evaluator.prefixes import PrefixTree
from evop.evaluator.profile import Profile
from evop.evaluator.walk import Walk
from evop.losses import ItemMeter, Meter
from evop.losses.lines import passage_losses
from evop.losses.loss import Loss
from evop.losses.next_token import NextToken
from evop.losses.table import LossTable
from evop.model.loaded import LoadedModel
from evop.removal.compensation import compensated
from evop.removal.cut import Cut
from evop.removal.level_weights import LevelWeights
from evop.removal.ranking import Ranking
from evop.tokens.batches import batches, lay_out
from evop.tokens.passages import TokenPassages
from patterns import Pattern, PatternSpace

NEXT_TOKEN = NextToken()
NLL = Loss.named("nll")
DENSE_MB = 1024
"""Mebibytes of dense streams that an evaluator keeps unless it is told otherwise; a search says so in its recipe."""


@dataclass
class Evaluator:
    """Measures patterns of one model.

    Patterns that are given together are run together, batch by batch; a beginning that several of them share is run
    once. What the dense model's first layers put out is kept for the next call.

    Memory, beside the model: the activations of one batch; the residual streams of that batch that wait, at most log2
    of the number of patterns; the logits of a part of the batch; the dense streams that are kept; and where levels have
    weights of their own, what ``LevelWeights`` and ``LayerStack`` keep of them.

    Attributes:
        loaded: the model.
        space: its parts and their levels.
        ranking: which units of thinned parts leave first.
        max_tokens: tokens per passage at most.
        batch_size: passages of full length per forward pass, or None to fit the device.
        loss: what is measured of text and of questions.
        cache_mb: mebibytes of dense streams to keep at most.
        share: whether patterns share their beginnings; if not, each is run from the first layer.
        profile: is told where the time goes.
        batch: how much goes through the model at once.
    """

    loaded: LoadedModel
    space: PatternSpace
    ranking: Ranking
    max_tokens: int
    batch_size: int | None = None
    loss: Loss = NLL
    cache_mb: int = DENSE_MB
    share: bool = True
    profile: Profile = field(default_factory=Profile)
    batch: BatchSize = field(init=False)
    _tick: Callable[[], None] = field(init=False)
    _meter: Meter = field(init=False)
    _item_meter: ItemMeter = field(init=False)
    _cache: DenseCache = field(init=False)
    _stack: LayerStack = field(init=False)
    _level_weights: LevelWeights = field(init=False)

    def __post_init__(self) -> None:
        positions = getattr(self.loaded.checkpoint.resolved, "max_position_embeddings", None)
        if positions and self.max_tokens > positions:
            raise EvopError(
                f"--max-tokens {self.max_tokens} is more than the {positions} positions of "
                f"{self.loaded.checkpoint.name}; give at most {positions}"
            )
        self.batch = BatchSize.of(self.batch_size, self.max_tokens, self.loaded.device)
        self._tick = lambda: None
        self._meter, self._item_meter = self.loss.meter, self.loss.item_meter
        self._cache = DenseCache(self.cache_mb << 20)
        self._stack = LayerStack(self.loaded.model, self.loaded.family)
        self._level_weights = LevelWeights(self.loaded)

    @classmethod
    def of(
        cls, loaded: LoadedModel, space: PatternSpace, max_tokens: int, batch_size: int | None = None, loss: Loss = NLL
    ) -> Evaluator:
        """Build an evaluator without a ranking of units; it can measure whole parts alone."""
        return cls(loaded, space, Ranking(), max_tokens, batch_size, loss)

    def with_ranking(self, ranking: Ranking) -> Evaluator:
        """Copy the evaluator with its units ranked and their levels priced."""
        ranked = replace(self, space=ranking.priced(self.space), ranking=ranking)
        ranked.batch = self.batch  # what memory has room for is known by now
        return ranked

    def losses(self, patterns: Iterable[Pattern], passages: TokenPassages) -> list[LossTable]:
        """Measure patterns: the loss table of each, in their order."""
        return self.of_cuts([self.cut(pattern) for pattern in patterns], passages)

    def cut(self, pattern: Pattern, ranking: Ranking | None = None) -> Cut:
        """Say what a pattern takes out of the model, corrections included; by another ranking where one is given."""
        ranking = ranking or self.ranking
        cut = compensated(ranking.cut_of(self.space, pattern), self.loaded, ranking.fill)
        return self._level_weights.reweighted(cut, ranking)

    def dense(self, passages: TokenPassages) -> LossTable:
        """Measure the dense model: its loss table."""
        return self.of_cuts([Cut()], passages)[0]

    def of_cuts(self, cuts: Sequence[Cut], passages: TokenPassages) -> list[LossTable]:
        """Measure cuts: the loss table of each, in their order.

        Raises:
            EvopError: out of memory with the smallest batch, or with the one asked for.
        """
        losses = passage_losses(self.line_losses(cuts, passages), passages, self._item_meter)
        return [LossTable(passages.groups, row, passages.counts) for row in losses]

    def line_losses(self, cuts: Sequence[Cut], passages: TokenPassages) -> np.ndarray:
        """Measure every line of the passages: a text is one line, every choice of a question is one.

        Returns:
            Summed loss of every line in nats, float64 [cuts, lines]; ``passages.lines`` says which passage a line is
            of. Choices are measured by next-token loss, text by the loss asked for.

        Raises:
            EvopError: out of memory with the smallest batch, or with the one asked for.
        """
        together = [cuts] if self.share else [[cut] for cut in cuts]
        parts = [self.backoff(partial(self._measured, some, passages)) for some in together if some]
        return np.concatenate(parts) if parts else np.zeros((0, passages.lines[-1]))

    def backoff(self, run: Callable[[int], Result]) -> Result:
        """Call a function with padded tokens per batch; with fewer from then on where memory runs out.

        Raises:
            EvopError: out of memory with the smallest batch, or with the one asked for.
        """
        return self.batch.backoff(run, self._let_go)

    @contextmanager
    def ticking(self, tick: Callable[[], None]) -> Iterator[None]:
        """Call a function after every batch, for the length of a ``with`` block.

        What the function raises ends the measuring, and leaves no trace in the model.
        """
        before, self._tick = self._tick, tick
        try:
            yield
        finally:
            self._tick = before

    def _let_go(self) -> bool:
        """Drop the dense streams, which only save time, for good; says whether there were any."""
        held_any = self._cache.used > 0
        if held_any:
            self._cache = DenseCache(0)
        return held_any

    @torch.inference_mode()
    def _measured(self, cuts: Sequence[Cut], passages: TokenPassages, batch_tokens: int) -> np.ndarray:
        """Run cuts together: summed loss of every line in nats, float64 [cuts, lines]."""
        parallel = self.loaded.family.is_parallel(self.loaded.model.config)
        tree = PrefixTree.of(cuts, len(self._stack.layers), parallel)
        loss = np.zeros((len(cuts), passages.lines[-1]))
        batched = batches(passages, batch_tokens)
        padded = sum(len(batch) * len(passages.ids[batch[0]]) for batch in batched)
        self._cache.deal()
        with self._stack.opened() as stack:
            for batch in batched:
                layout = lay_out(passages, batch)
                # Choices are compared by their likelihood, whatever text is measured by.
                meter = self._meter if layout.branches is None else NEXT_TOKEN
                key, share = passages.key(batch), layout.ids.numel() / padded
                walk = Walk(stack, tree, meter, self._cache, self.profile, key, layout, share)
                lines = np.concatenate([np.arange(passages.lines[i], passages.lines[i + 1]) for i in batch])
                for equal_cuts, sums in walk.losses():
                    loss[np.ix_(np.array(equal_cuts), lines)] = sums.numpy()
                self._tick()
        self.profile.padded += padded * len(cuts)
        self.profile.read += sum(map(len, passages.ids)) * len(cuts)
        self.profile.cache_bytes = self._cache.used
        self.profile.tokens += passages.total * len(cuts)
        return loss
