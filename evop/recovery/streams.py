"""Residual streams of a text between the blocks of a model: the dense one's, and those of what is left of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from evop.evaluator.layer_stack import LayerStack
from evop.evaluator.prefixes import DENSE, GONE, State
from evop.importance.massive import ordinary
from evop.model.families import BLOCK_KINDS
from evop.recovery.blocks import Step
from evop.recovery.text import LearningText
from evop.removal.cut import Place
from evop.tokens.batches import Layout, batches, lay_out


@dataclass(frozen=True)
class Batch:
    """Passages that go through the model together.

    Attributes:
        layout: their token ids.
        rows: places in the flattened positions that count, int64 [n]: no padding, and no first token, on which models
            put activations a thousand times as large.
        weights: what each of them counts, float64 [n].
        lengths: how many of them each passage has, one after the other.
    """

    layout: Layout
    rows: torch.Tensor
    weights: torch.Tensor
    lengths: tuple[int, ...]

    def counts(self, *values: torch.Tensor) -> torch.Tensor:
        """Say what each row counts: nothing, where one of the values is massive beside those of its passage.

        Args:
            values: what is known of each row, each [n, some number].

        Returns:
            float64 [n], where the values lie.
        """
        weights = self.weights.to(values[0].device)
        for known in values:
            weights = weights * torch.cat([ordinary(passage) for passage in known.split(self.lengths)])
        return weights


def batches_of(text: LearningText, batch_tokens: int) -> list[Batch]:
    """Lay out a text in batches."""
    made = []
    for batch in batches(text.passages, batch_tokens):
        layout = lay_out(text.passages, batch)
        longest = layout.ids.shape[1]
        rows = [torch.arange(1, len(text.passages.ids[i])) + at * longest for at, i in enumerate(batch)]
        lengths = tuple(len(each) for each in rows)
        weights = [torch.full((length,), float(text.weights[i])) for i, length in zip(batch, lengths, strict=True)]
        made.append(Batch(layout, torch.cat(rows), torch.cat(weights).double(), lengths))
    return made


@dataclass
class Streams:
    """The residual stream of every batch in front of some step; they lie on the CPU.

    Memory: tokens x hidden numbers in the dtype that the model computes in.

    Attributes:
        stack: the model, opened.
        batches: the text.
        values: the stream of each batch, [batch, length, hidden]; None before the first step.
        tick: is called after every batch.
    """

    stack: LayerStack
    batches: Sequence[Batch]
    values: list[torch.Tensor] | None = None
    tick: Callable[[], None] = lambda: None

    def copy(self) -> Streams:
        """Go on from here a second time."""
        return Streams(self.stack, self.batches, None if self.values is None else list(self.values), self.tick)

    def run(self, step: Step, states: Mapping[Place, State]) -> None:
        """Run a step of which every block is in some state; a block that is not named is gone."""
        self.values = [out.cpu() for _, _, _, out in self.through(step, states)]

    def through(
        self, step: Step, states: Mapping[Place, State]
    ) -> Iterator[tuple[int, Batch, torch.Tensor, torch.Tensor]]:
        """Run a step, and leave the streams where they are.

        Yields:
            Number of the batch, the batch, its stream in front of the step and behind it, on the model's device.
        """
        layer = step[0][1]
        attn, mlp = (states.get((kind, layer), GONE) for kind in BLOCK_KINDS)
        for number, batch in enumerate(self.batches):
            entered = self.stack.enter(batch.layout)
            before = entered if self.values is None else self.values[number].to(entered.device)
            yield number, batch, before, self.stack.run(layer, attn, mlp, before)
            self.tick()


def dense_states(step: Step) -> dict[Place, State]:
    """Every block of a step as the dense model has it."""
    return dict.fromkeys(step, DENSE)
