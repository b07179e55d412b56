"""Least squares given which weights are zero: matrices make up for what left, one block after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from evop.errors import NOT_FINITE, EvopError
from evop.evaluator.layer_stack import LayerStack
from evop.evaluator.prefixes import state_of
from evop.model.loaded import LoadedModel
from evop.recovery.blocks import Step, steps_of
from evop.recovery.solve import NormalSums
from evop.recovery.streams import Streams, batches_of, dense_states
from evop.recovery.text import LearningText
from evop.removal.cut import Cut, Place, Weight, part_name
from evop.removal.least_squares import least_squares_of_rows
from evop.removal.matrices import Masks, Matrix, stored_weights


@dataclass
class SparseRefit:
    """Fits the weights that stay of every matrix so that its outputs change least; zeros stay zero.

    The inputs of a block are those that it has in the pruned model: everything before it has its zeros, and what was
    fitted, already. What its matrices put out is to be what their dense weights would make of the same inputs.

    Memory, beside the model: tokens x hidden numbers for the streams, float64 features² for each matrix of a block, and
    all new weights.

    Source: SparseGPT (Frantar and Alistarh, arXiv 2301.00774), its order and its objective; every row is solved
    exactly, and which weights leave was decided before, of the dense model.

    Attributes:
        loaded: the dense model.
        matrices: the matrices of its blocks.
        masks: which of their weights stay.
        text: what is learned from.
        batch_tokens: padded tokens of a forward pass at most.
        tick: is called before every block.
    """

    loaded: LoadedModel
    matrices: Sequence[Matrix]
    masks: Masks
    text: LearningText
    batch_tokens: int = 512
    tick: Callable[[Place], None] = lambda place: None

    @torch.inference_mode()
    def cut(self) -> Cut:
        """Fit all matrices: what the model computes with, rounded as it is stored.

        Raises:
            EvopError: inputs, or weights as they are stored, that are not finite.
        """
        found: dict[Place, Mapping[str, Weight]] = {}
        with LayerStack(self.loaded.model, self.loaded.family).opened() as stack:
            parallel = self.loaded.family.is_parallel(self.loaded.model.config)
            streams = Streams(stack, batches_of(self.text, self.batch_tokens))
            for step in steps_of(len(stack.layers), parallel):
                self.tick(step[0])
                found |= self._fitted(step, streams)
                cut = Cut(matrices=found)
                streams.run(step, {place: state_of(cut, place) for place in step})
        return Cut(matrices=found)

    def _fitted(self, step: Step, streams: Streams) -> dict[Place, dict[str, Weight]]:
        matrices = [matrix for matrix in self.matrices if matrix.place in step]
        sums = {matrix.key: NormalSums(part_name(*matrix.place)) for matrix in matrices}
        with _watched(matrices) as seen:
            for _, batch, _, _ in streams.through(step, dense_states(step)):
                for key, read in seen:
                    inputs = read.flatten(0, -2).float()[batch.rows.to(read.device)]
                    sums[key].add(inputs, inputs.new_zeros(len(inputs), 0), batch.counts(inputs))
                seen.clear()
        found: dict[Place, dict[str, Weight]] = {place: {} for place in step}
        for matrix, weight in stored_weights(self.loaded, matrices):
            gram = sums.pop(matrix.key).gram
            if not torch.isfinite(gram).all():
                raise EvopError(f"{matrix.key}: its inputs are not finite; {NOT_FINITE}")
            device = self.loaded.device if self.loaded.device.type == "cuda" else gram.device  # MPS has no float64
            stays = self.masks[matrix.place][matrix.name].to(device)
            fitted = least_squares_of_rows(weight.to(device).double(), gram.to(device), stays)
            values = matrix.turned(fitted.to(weight.dtype)).contiguous().cpu()
            if not values.isfinite().all():
                raise EvopError(f"{matrix.key}: its least-squares weight is not finite as {values.dtype}; refit none")
            found[matrix.place][matrix.name] = Weight(values)
        return found


@contextmanager
def _watched(matrices: Sequence[Matrix]) -> Iterator[list[tuple[str, torch.Tensor]]]:
    """Note what every matrix reads, [batch, length, features] or folded, for the length of a ``with`` block."""
    seen: list[tuple[str, torch.Tensor]] = []

    def note(key: str, _module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        seen.append((key, args[0]))

    with ExitStack() as hooks:
        for matrix in matrices:
            hooks.enter_context(matrix.module.register_forward_pre_hook(partial(note, matrix.key)))
        yield seen
