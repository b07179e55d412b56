"""The stack of a model's layers, taken apart for a while: run block by block, and the head apart from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from evop.evaluator.branch_masks import BranchMasks
from evop.evaluator.prefixes import DENSE, GONE, Changed, State
from evop.model.families import BlockKind, Family
from evop.removal.cut import Place
from evop.removal.masking import Refitted, Reweighted, Swap, block_swaps, changed, matrix_swaps, swapped
from evop.tokens.batches import Layout

COPIED_BYTES = 4 << 30
"""Bytes of weights of levels that are kept on the model's device at most, in the dtype that it computes in."""


class _Gate(nn.Module):
    """Stands where a decoder layer was: writes down what the layer would be given, and passes a stream on."""

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.came: torch.Tensor | None = None
        self.rest: tuple[Any, ...] = ()
        self.named: dict[str, Any] = {}
        self.instead: torch.Tensor | None = None

    def give(self, layer: nn.Module, name: str, value: torch.Tensor) -> None:
        """Give the layer another value for one of its inputs, which some models pass without its name."""
        at = list(signature(layer.forward).parameters).index(name) - 1
        if at < len(self.rest):
            self.rest = (*self.rest[:at], value, *self.rest[at + 1 :])
        else:
            self.named[name] = value

    def forward(self, hidden_states: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        """Pass on the stream put in its place, or else the one that came."""
        if self.instead is not None:
            return self.instead
        self.came, self.rest, self.named = hidden_states, rest, named
        return hidden_states


class _Words(nn.Module):
    """Stands where the head was: scores a slice of the vocabulary alone.

    Args:
        head: the head.
    """

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.head = head
        self.words = slice(0, head.out_features)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Score the words, [..., hidden] -> [..., words]."""
        weight, bias = self.head.weight[self.words], self.head.bias
        return functional.linear(hidden_states.to(weight.device), weight, None if bias is None else bias[self.words])


class LayerStack:
    """Runs a causal language model in three steps: what comes before its layers, each block, what comes after.

    Any architecture of transformers will do: the model's own forward pass is run with its layers put aside, so what
    the model does before and after them (positions, masks, scaled embeddings, the last norm, soft caps) is computed by
    the model's own code. While the stack is open, the model's list of layers holds stand-ins; on closing, the dense
    model is put back.

    Args:
        model: a causal language model of transformers, in evaluation mode.
        family: says what the model calls its parts.
    """

    def __init__(self, model: nn.Module, family: Family) -> None:
        self.model, self.family = model, family
        self.list = family.layer_list(model)
        self.layers = list(self.list)
        head: Any = model.get_output_embeddings()  # type: ignore[operator]
        # A head of another kind, or one whose weights come when it is called, is run over all words at once.
        self._words = _Words(head) if type(head) is nn.Linear and not head.weight.is_meta else None
        self._head_name = next(name for name, module in model.named_modules() if module is head)
        words: Any = model.get_input_embeddings()  # type: ignore[operator]
        self.vocabulary = int(head.weight.shape[0])
        self._gates = [_Gate() for _ in self.layers]
        self._swaps: dict[tuple[int, str, State], list[Swap]] = {}
        self._copied = 0
        self._first = torch.zeros((1, 1), dtype=torch.long, device=words.weight.device)

    @contextmanager
    def opened(self) -> Iterator[LayerStack]:
        """Take the model apart for a ``with`` block; it is whole again afterwards, whatever happened."""
        whole = dict(self.list._modules)
        head = [] if self._words is None else [Swap.at(self.model, self._head_name, self._words)]
        try:
            with swapped(head):
                yield self
        finally:
            self.list._modules = whole
            self._forget_swaps()
            for gate in self._gates:
                gate.clear()

    def enter(self, layout: Layout) -> torch.Tensor:
        """Run what comes before the layers; every layer's other inputs are kept until the next call.

        Returns:
            What the first layer is given: [batch, length, hidden].
        """
        self.list._modules = {str(i): gate for i, gate in enumerate(self._gates)}
        base: Any = self.model.base_model
        device = self._first.device
        named = {} if layout.positions is None else {"position_ids": layout.positions.to(device)}
        base(input_ids=layout.ids.to(device), use_cache=False, **named)
        entered = self._gates[0].came
        assert entered is not None
        if layout.branches is not None and layout.positions is not None:
            masks = BranchMasks(layout.branches, layout.positions, entered.dtype)
            for number, (layer, gate) in enumerate(zip(self.layers, self._gates, strict=True)):
                assert gate.came is not None
                window = self.family.window(self.model.config, number)
                gate.give(layer, "attention_mask", masks.within(window, gate.came.device))
        return entered

    def run(self, layer: int, attn: State, mlp: State, stream: torch.Tensor) -> torch.Tensor:
        """Run a layer whose blocks are in some states, ``GONE`` leaving a block out: the residual stream behind it."""
        if attn == GONE and mlp == GONE:
            return stream
        gate = self._gates[layer]
        with swapped([*self._swapped(layer, "attn", attn), *self._swapped(layer, "mlp", mlp)]):
            out = self.layers[layer](stream, *gate.rest, **gate.named)
        return out[0] if isinstance(out, tuple) else out

    @property
    def least_words(self) -> int:
        """The number of words that the head scores in one go at least."""
        return self.vocabulary if self._words is None else 1

    def slices(self, size: int) -> list[slice]:
        """Part the vocabulary into slices of like size, at most so many words each if the head can be run in parts."""
        count = 1 if self._words is None else -(-self.vocabulary // size)
        step = -(-self.vocabulary // count)
        return [slice(first, min(first + step, self.vocabulary)) for first in range(0, self.vocabulary, step)]

    def logits(self, stream: torch.Tensor, words: slice) -> torch.Tensor:
        """Run what comes after the layers, at some positions and for one of the slices: [n, hidden] -> [n, words].

        What models do to logits behind the head, such as a soft cap, they do to each word alone.
        """
        if self._words is not None:
            self._words.words = words
        gate = self._gates[0]
        self.list._modules = {"0": gate}
        gate.instead = stream[None]
        try:
            # [1, n, vocabulary]; GPT-2 folds it by the length of its input: [n, 1, vocabulary].
            return self.model(input_ids=self._first, use_cache=False).logits.flatten(0, 1)
        finally:
            gate.instead = None

    def _swapped(self, layer: int, block: BlockKind, state: State) -> list[Swap]:
        """Say which modules to swap so that a block is in a state; made once, while there is room for the weights."""
        if state == DENSE:
            return []
        if (layer, block, state) not in self._swaps:
            made = self._make_swaps(layer, block, state)
            self._copied += sum(
                swap.module.weight.nbytes for swap in made if isinstance(swap.module, Refitted | Reweighted)
            )
            if self._copied > COPIED_BYTES:
                self._forget_swaps()
            self._swaps[layer, block, state] = made
        return self._swaps[layer, block, state]

    def _forget_swaps(self) -> None:
        self._swaps.clear()
        self._copied = 0

    def _make_swaps(self, layer: int, block: BlockKind, state: State) -> list[Swap]:
        place: Place = (block, layer)
        if not isinstance(state, Changed):
            return block_swaps(self.layers[layer], self.family.block(block))
        swaps = matrix_swaps(self.layers[layer], state.matrices)
        if state.units is None and state.weight is None:
            return swaps
        bias = None if state.bias is None else np.frombuffer(state.bias, dtype=np.float32)
        changes = state.units, bias, state.weight
        return [*swaps, changed(self.layers[layer], self.family, self.model, place, *changes)]
