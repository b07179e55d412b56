"""Many patterns in, their losses out."""

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
from evop.losses.lines import of_lines
from evop.losses.loss import Loss
from evop.losses.next_token import NextToken
from evop.losses.table import LossTable
from evop.model.loaded import LoadedModel
from evop.removal.compensation import compensated
from evop.removal.cut import Cut
from evop.removal.ranking import Ranking
from evop.tokens.batches import batches, lay_out
from evop.tokens.passages import TokenPassages
from patterns import Pattern, PatternSpace

NEXT_TOKEN = NextToken()
NLL = Loss.named("nll")


@dataclass
class Evaluator:
    """Measures patterns of one model.

    The patterns it is given together are run together: batch by batch, and a beginning that several of them share
    is run once. What the dense model's first layers put out is kept for the next time.

    Memory, beside the model: the activations of one batch, the residual streams of it that wait, of which there are at
    most log2 of the number of patterns, the logits of a part of it, and the dense streams that are kept.

    Attributes:
        loaded: the model.
        space: what its parts are.
        ranking: which units of thinned parts leave first.
        max_tokens: the length passages were cut at.
        batch_size: passages of full length a forward pass, or None to fit the device.
        loss: what is measured.
        cache_mb: mebibytes of dense streams to keep at most.
        share: whether patterns share their beginnings; alone, each is run from the first layer.
        profile: is told where the time goes.
        batch: how much goes through the model at once.
    """

    loaded: LoadedModel
    space: PatternSpace
    ranking: Ranking
    max_tokens: int
    batch_size: int | None = None
    loss: Loss = NLL
    cache_mb: int = 0
    share: bool = True
    profile: Profile = field(default_factory=Profile)
    batch: BatchSize = field(init=False)
    _tick: Callable[[], None] = field(init=False)
    _meter: Meter = field(init=False)
    _item_meter: ItemMeter = field(init=False)
    _cache: DenseCache = field(init=False)
    _stack: LayerStack = field(init=False)

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

    @classmethod
    def of(
        cls, loaded: LoadedModel, space: PatternSpace, max_tokens: int, batch_size: int | None = None, loss: Loss = NLL
    ) -> Evaluator:
        """Of a space that knows nothing of what its units matter; it can measure whole parts."""
        return cls(loaded, space, Ranking(), max_tokens, batch_size, loss)

    def ordered(self, ranking: Ranking) -> Evaluator:
        """The same with units ranked, and their levels priced."""
        ranked = replace(self, space=ranking.priced(self.space), ranking=ranking)
        ranked.batch = self.batch  # what memory has room for is known by now
        return ranked

    def losses(self, patterns: Iterable[Pattern], passages: TokenPassages) -> list[LossTable]:
        """The loss table of each pattern."""
        return self.of_cuts([self.cut(pattern) for pattern in patterns], passages)

    def cut(self, pattern: Pattern) -> Cut:
        """What a pattern takes out of the model, corrections included."""
        return compensated(self.ranking.cut_of(self.space, pattern), self.loaded, self.ranking.fill)

    def dense(self, passages: TokenPassages) -> LossTable:
        """The loss table of the model as it is."""
        return self.of_cuts([Cut()], passages)[0]

    def of_cuts(self, cuts: Sequence[Cut], passages: TokenPassages) -> list[LossTable]:
        """The loss table of each cut, in the order of the passages.

        Raises:
            EvopError: out of memory with the smallest batch, or with the one asked for.
        """
        losses = of_lines(self.line_losses(cuts, passages), passages, self._item_meter)
        return [LossTable(passages.groups, row, passages.counts) for row in losses]

    def line_losses(self, cuts: Sequence[Cut], passages: TokenPassages) -> np.ndarray:
        """What every line of the passages costs: a text is one, every choice of an item is one.

        Returns:
            Nats, summed in float64: [cuts, lines]; ``passages.lines`` says whose they are. Choices are measured by
            next-token loss, text by the loss asked for.

        Raises:
            EvopError: out of memory with the smallest batch, or with the one asked for.
        """
        together = [cuts] if self.share else [[cut] for cut in cuts]
        found = [self.backoff(partial(self._measured, some, passages)) for some in together if some]
        return np.concatenate(found) if found else np.zeros((0, passages.lines[-1]))

    def backoff(self, run: Callable[[int], Result]) -> Result:
        """Run something that takes padded tokens per batch; with smaller batches from then on where memory runs out.

        Raises:
            EvopError: out of memory with the smallest batch, or with the one asked for.
        """
        return self.batch.backoff(run, self._let_go)

    @contextmanager
    def ticking(self, tick: Callable[[], None]) -> Iterator[None]:
        """Call something after every batch, for the length of a ``with`` block.

        What it raises ends the measuring, and leaves no trace in the model.
        """
        before, self._tick = self._tick, tick
        try:
            yield
        finally:
            self._tick = before

    def _let_go(self) -> bool:
        """Drop the dense streams, which only save time; they do not come back."""
        held = self._cache.used > 0
        if held:
            self._cache = DenseCache(0)
        return held

    @torch.inference_mode()
    def _measured(self, cuts: Sequence[Cut], passages: TokenPassages, batch_tokens: int) -> np.ndarray:
        parallel = self.loaded.family.is_parallel(self.loaded.model.config)
        tree = PrefixTree.of(cuts, len(self._stack.layers), parallel)
        loss = np.zeros((len(cuts), passages.lines[-1]))
        found = batches(passages, batch_tokens)
        everything = sum(len(batch) * len(passages.ids[batch[0]]) for batch in found)
        self._cache.deal()
        with self._stack.opened() as stack:
            for batch in found:
                layout = lay_out(passages, batch)
                meter = self._meter if layout.branches is None else NEXT_TOKEN
                key, share = passages.key(batch), layout.ids.numel() / everything
                walk = Walk(stack, tree, meter, self._cache, self.profile, key, layout, share)
                lines = np.concatenate([np.arange(passages.lines[i], passages.lines[i + 1]) for i in batch])
                for same, sums in walk.losses():
                    loss[np.ix_(np.array(same), lines)] = sums.numpy()
                self._tick()
        self.profile.padded += everything * len(cuts)
        self.profile.read += sum(map(len, passages.ids)) * len(cuts)
        self.profile.cache_bytes = self._cache.used
        self.profile.tokens += passages.total * len(cuts)
        return loss
