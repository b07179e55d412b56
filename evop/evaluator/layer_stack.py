"""A model taken apart for a while: its layers run block by block, its head apart from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import nn

from evop.evaluator.branch_masks import Masks
from evop.evaluator.prefixes import DENSE, GONE, State, Thinning
from evop.model.families import BlockKind, Family
from evop.removal.cut import Place
from evop.removal.masking import Swap, block_swaps, swapped, thinned
from evop.tokens.batches import Layout


class _Gate(nn.Module):
    """Stands where a decoder layer was: writes down what the layer would be given, passes a stream on."""

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
        """What is to come instead, or else what came."""
        if self.instead is not None:
            return self.instead
        self.came, self.rest, self.named = hidden_states, rest, named
        return hidden_states


class LayerStack:
    """Runs a causal language model in three steps: what comes before its layers, each block, what comes after.

    Any architecture of transformers will do: the model's own forward pass is run with its layers put aside, so what
    it does before and after them (positions, masks, scaled embeddings, the last norm, soft caps) is its own doing.
    While it is open the model's list of layers holds stand-ins; on closing the dense model is put back.

    Args:
        model: of transformers, in evaluation mode.
        family: names its parts.
    """

    def __init__(self, model: nn.Module, family: Family) -> None:
        self.model, self.family = model, family
        self.list = family.layer_list(model)
        self.layers = list(self.list)
        head: Any = model.get_output_embeddings()  # type: ignore[operator]
        words: Any = model.get_input_embeddings()  # type: ignore[operator]
        self.vocabulary = int(head.weight.shape[0])
        self._gates = [_Gate() for _ in self.layers]
        self._swaps: dict[tuple[int, str, State], list[Swap]] = {}
        self._first = torch.zeros((1, 1), dtype=torch.long, device=words.weight.device)

    @contextmanager
    def opened(self) -> Iterator[LayerStack]:
        """The stack, ready to run; the model is whole again afterwards, whatever happened."""
        whole = dict(self.list._modules)
        try:
            yield self
        finally:
            self.list._modules = whole
            self._swaps.clear()
            for gate in self._gates:
                gate.clear()

    def enter(self, layout: Layout) -> torch.Tensor:
        """What the first layer is given for a batch; every layer's other inputs are kept until the next call.

        Returns:
            [batch, length, hidden].
        """
        self.list._modules = {str(i): gate for i, gate in enumerate(self._gates)}
        base: Any = self.model.base_model
        where = self._first.device
        named = {} if layout.positions is None else {"position_ids": layout.positions.to(where)}
        base(input_ids=layout.ids.to(where), use_cache=False, **named)
        entered = self._gates[0].came
        assert entered is not None
        if layout.branches is not None and layout.positions is not None:
            masks = Masks(layout.branches, layout.positions, entered.dtype)
            for number, (layer, gate) in enumerate(zip(self.layers, self._gates, strict=True)):
                assert gate.came is not None
                window = self.family.window(self.model.config, number)
                gate.give(layer, "attention_mask", masks.of(window, gate.came.device))
        return entered

    def run(self, layer: int, attn: State, mlp: State, stream: torch.Tensor) -> torch.Tensor:
        """The residual stream after a layer whose blocks are in some states; ``GONE`` leaves a block out."""
        if attn == GONE and mlp == GONE:
            return stream
        gate = self._gates[layer]
        with swapped([*self._swapped(layer, "attn", attn), *self._swapped(layer, "mlp", mlp)]):
            out = self.layers[layer](stream, *gate.rest, **gate.named)
        return out[0] if isinstance(out, tuple) else out

    def logits(self, stream: torch.Tensor) -> torch.Tensor:
        """What the model makes of the last layer's output at some positions: [n, hidden] -> [n, vocabulary]."""
        gate = self._gates[0]
        self.list._modules = {"0": gate}
        gate.instead = stream[None]
        try:
            # [1, n, vocabulary]; GPT-2 folds it by the length of its input: [n, 1, vocabulary].
            return self.model(input_ids=self._first, use_cache=False).logits.flatten(0, 1)
        finally:
            gate.instead = None

    def _swapped(self, layer: int, kind: BlockKind, state: State) -> list[Swap]:
        if state == DENSE:
            return []
        if (layer, kind, state) not in self._swaps:
            self._swaps[layer, kind, state] = self._made(layer, kind, state)
        return self._swaps[layer, kind, state]

    def _made(self, layer: int, kind: BlockKind, state: State) -> list[Swap]:
        place: Place = (kind, layer)
        if not isinstance(state, Thinning):
            return block_swaps(self.layers[layer], self.family.block(kind))
        bias = None if state.bias is None else np.frombuffer(state.bias, dtype=np.float32)
        return [thinned(self.layers[layer], self.family, self.model, place, state.units, bias)]
