"""Many patterns in, their losses out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import nn

from evop.corrections import corrected
from evop.cut import Cut
from evop.errors import EvopError
from evop.load import LoadedModel
from evop.losses import LossTable
from evop.masking import masked
from evop.meters import Meter, make_meter
from evop.orders import Orders
from evop.tokens import TokenPassages
from patterns import Pattern, PatternSpace

Result = TypeVar("Result")
AUTO_BATCH_TOKENS = {"cpu": 2048, "cuda": 16384, "mps": 4096}
"""Padded tokens a forward pass with ``--batch-size auto``; halved when memory runs out."""


@dataclass
class Evaluator:
    """Measures patterns of one model.

    Attributes:
        loaded: the model.
        space: what its parts are.
        orders: which units of thinned parts leave first.
        batch_size: passages of full length a forward pass, or None to fit the device.
        max_tokens: the length passages were cut at.
        loss: what is measured: ``nll`` or ``kl``.

    Raises:
        EvopError: passages longer than the model has positions.
    """

    loaded: LoadedModel
    space: PatternSpace
    orders: Orders
    max_tokens: int
    batch_size: int | None = None
    loss: str = "nll"
    _batch_tokens: int = field(init=False)
    _meter: Meter = field(init=False)

    def __post_init__(self) -> None:
        positions = getattr(self.loaded.checkpoint.resolved, "max_position_embeddings", None)
        if positions and self.max_tokens > positions:
            raise EvopError(
                f"--max-tokens {self.max_tokens} is more than the {positions} positions of "
                f"{self.loaded.checkpoint.name}; give at most {positions}"
            )
        auto = AUTO_BATCH_TOKENS[self.loaded.device.type]
        self._batch_tokens = self.batch_size * self.max_tokens if self.batch_size else auto
        self._meter = make_meter(self.loss)

    @classmethod
    def of(
        cls, loaded: LoadedModel, space: PatternSpace, max_tokens: int, batch_size: int | None = None, loss: str = "nll"
    ) -> Evaluator:
        """Of a space that knows nothing of what its units matter; it can measure whole parts."""
        return cls(loaded, space, Orders(), max_tokens, batch_size, loss)

    def ordered(self, orders: Orders) -> Evaluator:
        """The same with units ranked, and their levels priced."""
        return Evaluator(self.loaded, orders.priced(self.space), orders, self.max_tokens, self.batch_size, self.loss)

    @property
    def batch_tokens(self) -> int:
        """Padded tokens of one forward pass at most."""
        return self._batch_tokens

    def losses(self, patterns: Iterable[Pattern], passages: TokenPassages) -> Iterator[LossTable]:
        """The loss table of each pattern, in order, as it comes."""
        for pattern in patterns:
            yield self.measured(self.cut(pattern), passages)

    def cut(self, pattern: Pattern) -> Cut:
        """What a pattern takes out of the model, corrections included."""
        return corrected(self.orders.cut(self.space, pattern), self.loaded, self.orders.fill)

    def dense(self, passages: TokenPassages) -> LossTable:
        """The loss table of the model as it is."""
        return next(self.losses([self.space.dense], passages))

    def measured(self, cut: Cut, passages: TokenPassages) -> LossTable:
        """The loss table of a cut."""
        model = self.loaded.model

        def mask() -> AbstractContextManager[nn.Module]:
            return masked(model, self.loaded.family, cut)

        return self.halving(lambda batch_tokens: self._meter(model, mask, passages, batch_tokens))

    def halving(self, run: Callable[[int], Result]) -> Result:
        """Run something that takes a size of batch, in padded tokens; smaller from then on where memory runs out.

        Raises:
            EvopError: out of memory with the smallest batch, or with the one asked for.
        """
        while True:
            try:
                return run(self._batch_tokens)
            except torch.OutOfMemoryError as error:
                smaller = self._batch_tokens // 2
                if self.batch_size or smaller < self.max_tokens:
                    raise EvopError(
                        f"out of memory on {self.loaded.device} with {self._batch_tokens} tokens a batch; use a "
                        "smaller --batch-size or --max-tokens, or --dtype bfloat16"
                    ) from error
                torch.cuda.empty_cache()
                self._batch_tokens = smaller
