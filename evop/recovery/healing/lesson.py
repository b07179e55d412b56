"""One step of learning: a batch, the dense model's predictions of it, the gradient, the new weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from evop.errors import EvopError
from evop.model.loaded import DTYPES, LoadedModel, wider
from evop.recipes.heal import HealRecipe
from evop.recovery.healing.distillation import Target, distillation_loss, target_of
from evop.recovery.healing.student import Student
from evop.recovery.healing.target_cache import TargetCache
from evop.tokens.batches import lay_out
from evop.tokens.passages import TokenPassages

WARM_UP = 0.05
"""Share of the tokens over which the learning rate rises from nothing."""
LAST = 0.1
"""What is left of the learning rate at the end, as a share of the largest."""
BETAS = (0.9, 0.95)
"""Memory of AdamW: a second moment over twenty steps suits a training of a few hundred."""
CLIP = 1.0
"""Largest norm of a gradient, per token."""


def rate_at(share: float) -> float:
    """Compute the learning rate as a share of the largest: a linear rise, then a cosine down to a tenth.

    Args:
        share: tokens learned from, the next step's included, as a share of all that will be.

    Source: the schedule of most distillations, such as Minitron (arXiv 2407.14679).
    """
    if share < WARM_UP:
        return share / WARM_UP
    turned = math.cos(math.pi * min(1.0, (share - WARM_UP) / (1 - WARM_UP)))
    return LAST + (1 - LAST) * (1 + turned) / 2


@dataclass
class Teacher:
    """Makes a pruned model learn from the dense one, beside which it runs.

    Attributes:
        dense: the dense model.
        student: the pruned model.
        recipe: how it learns.
        batch_tokens: padded tokens that go through the models at once; a step adds the gradients of several such up.
        rate: the largest learning rate.
        cache: what the dense model predicted before, or None where it is asked every time.
        optimizer: AdamW over what is trained, without weight decay, which would pull towards nothing.
    """

    dense: LoadedModel
    student: Student
    recipe: HealRecipe
    batch_tokens: int
    cache: TargetCache | None = None

    def __post_init__(self) -> None:
        self.rate = self.recipe.rate(int(self.student.checkpoint.resolved.hidden_size))
        self.optimizer = torch.optim.AdamW(self.student.trained.values(), self.rate, BETAS, weight_decay=0.0)

    def step(self, passages: TokenPassages, batch: Sequence[int], tokens: int) -> float:
        """Learn from a batch.

        Args:
            passages: text.
            batch: indices of the passages.
            tokens: tokens learned from before.

        Returns:
            The mean loss of the batch, in nats per token.

        Raises:
            EvopError: the loss is not a number.
        """
        size = int(passages.scored[list(batch)].sum())
        loss = sum(self._gradient(passages, part, size) for part in parts_of(passages, batch, self.batch_tokens))
        if not math.isfinite(loss):
            raise EvopError(
                f"the loss is not finite in the step after {tokens:,} tokens; lower --learning-rate (now "
                f"{self.rate:g}), or {wider(self.dense.dtype, 'raise --batch-tokens')}"
            )
        torch.nn.utils.clip_grad_norm_(self.student.trained.values(), CLIP)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * rate_at((tokens + size) / self.recipe.tokens)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

    def _gradient(self, passages: TokenPassages, part: Sequence[int], size: int) -> float:
        """Add the gradient of some passages up; returns what they add to the mean loss."""
        layout, device = lay_out(passages, part), self.dense.device
        ids, at, wanted = (tensor.to(device) for tensor in (layout.ids, layout.at, layout.wanted))
        target = self._known(part, ids, at)
        with self.casting():
            own = self.student.predict(ids).flatten(0, 1)[at]
        loss = distillation_loss(own, target, wanted, self.recipe.nll) / size
        loss.backward()
        return float(loss.detach())

    def _known(self, part: Sequence[int], ids: torch.Tensor, at: torch.Tensor) -> Target:
        """Look up what the dense model predicts of some passages, or ask it."""
        if self.cache is None:
            return self.target(ids, at)
        if (found := self.cache.read(part)) is not None:
            return Target(found.words.to(ids.device), found.chances.to(ids.device))
        target = self.target(ids, at)
        self.cache.write(part, target)
        return target

    @torch.no_grad()
    def target(self, ids: torch.Tensor, at: torch.Tensor) -> Target:
        """Ask the dense model what is to be learned of a batch.

        Args:
            ids: token ids, int64 [rows, longest].
            at: places in the flattened rows where something is predicted, int64 [n].
        """
        logits = self.dense.model(input_ids=ids, use_cache=False).logits
        return target_of(logits.flatten(0, 1)[at], self.recipe.top_k)

    def casting(self) -> AbstractContextManager[None]:
        """Compute in the dense model's dtype, with float32 weights behind it."""
        dtype = DTYPES[self.dense.dtype]
        return torch.autocast(self.dense.device.type, dtype, enabled=dtype != torch.float32)


def parts_of(passages: TokenPassages, batch: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Part a batch into passages of like length that go through the models together, the longest first."""
    parts: list[list[int]] = []
    for i in sorted(batch, key=lambda i: -len(passages.ids[i])):
        if parts and (len(parts[-1]) + 1) * len(passages.ids[parts[-1][0]]) <= batch_tokens:
            parts[-1].append(i)
        else:
            parts.append([i])
    return parts
