"""Block influence: how far a layer, an attention or an MLP turns the residual stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from evop.importance.batch import Batch, group_batches
from evop.importance.over_groups import over_of
from evop.importance.site import on_cpu
from evop.removal.cut import PART_KINDS, part_name
from evop.tokens.passages import TokenPassages


@dataclass(frozen=True, eq=False)
class StreamLayer:
    """A decoder layer and what it adds to the stream; outputs may be tuples, of which the first counts.

    Attributes:
        layer: the decoder layer; takes the stream as ``hidden_states``, first or by name, and returns it.
        attn_adds: the module whose output is the attention's addition, [rows, tokens, D] or [rows * tokens, D].
        mlp_adds: the module whose output is the MLP's addition, of the same shape.
    """

    layer: nn.Module
    attn_adds: nn.Module
    mlp_adds: nn.Module


def block_influence(
    model: nn.Module,
    layers: Sequence[StreamLayer],
    passages: TokenPassages,
    batch_tokens: int,
    *,
    parallel: bool,
    over: str,
) -> dict[str, float]:
    """Measure 1 - mean over tokens of cos(stream before, stream after), of every layer and sub-block, in one pass.

    Memory: two streams of one batch, and one float64 per group and part.

    Args:
        model: a causal language model of transformers; it is left as it was, whatever happens.
        layers: all decoder layers, in their order.
        passages: token ids and groups.
        batch_tokens: padded tokens of one forward pass at most (at least one passage).
        parallel: whether attention and MLP both read the layer's input, x -> x + a and x -> x + m; otherwise
            x -> x + a -> x + a + m.
        over: ``"mean"`` or ``"worst"``: how the groups are combined, each of equal weight.

    Returns:
        ``layers.3``, ``layers.3.attn``, ``layers.3.mlp`` and so on -> influence, from 0 (nothing) to 2.

    Raises:
        EvopError: unknown ``over``, or values that are not finite.

    Source: ShortGPT (Men et al., arXiv 2403.03853), block influence; for sub-blocks the same.
    """
    combine = over_of(over)
    body: Any = model
    names = [part_name(kind, layer) for layer in range(len(layers)) for kind in PART_KINDS]
    turned = {name: np.zeros(len(passages.tokens_by_group)) for name in names}
    tokens = np.zeros(len(passages.tokens_by_group))
    with torch.inference_mode():
        for batch in group_batches(passages, batch_tokens, next(model.parameters()).device):
            with ExitStack() as hooks:
                for number, layer in enumerate(layers):
                    _watch(hooks, layer, number, parallel, _Turns(batch, turned))
                body.base_model(input_ids=batch.ids, use_cache=False)  # no logits: nobody reads them
            np.add.at(tokens, batch.groups, batch.lengths)
    means = np.stack(list(turned.values()), axis=1) / tokens[:, None]
    return dict(zip(names, combine(means[..., None])[:, 0].tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class _Turns:
    """Running sums over the real tokens of how far each part turned the stream: part -> float64 [groups]."""

    batch: Batch
    sums: dict[str, np.ndarray]

    def add(self, part: str, before: torch.Tensor, after: torch.Tensor) -> None:
        """Add 1 - cos of every real token."""
        rows = zip(self.batch.real(before), self.batch.real(after), strict=True)
        turns = torch.stack([_turn(*row).sum() for row in rows])
        np.add.at(self.sums[part], self.batch.groups, on_cpu(turns, f"{part}: its influence"))


def _turn(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Take 1 - cos of each token, as half the squared distance of the directions: small turns keep their digits."""
    return (functional.normalize(before, dim=-1) - functional.normalize(after, dim=-1)).square().sum(dim=-1) / 2


def _watch(hooks: ExitStack, layer: StreamLayer, number: int, parallel: bool, turns: _Turns) -> None:
    """Follow the stream through one layer; ``stream`` holds it from its entry to its exit, no longer."""
    stream: dict[str, torch.Tensor] = {}

    def enter(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        stream["entry"] = stream["now"] = args[0] if args else kwargs["hidden_states"]

    def adds(part: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            before = stream["entry" if parallel else "now"]
            stream["now"] = before + _first(output).reshape(before.shape)
            turns.add(part, before, stream["now"])

        return hook

    def leave(_module: nn.Module, _args: Any, output: Any) -> None:
        turns.add(part_name("layer", number), stream["entry"], _first(output))
        stream.clear()

    hooks.enter_context(layer.layer.register_forward_pre_hook(enter, with_kwargs=True))
    hooks.enter_context(layer.attn_adds.register_forward_hook(adds(part_name("attn", number))))
    hooks.enter_context(layer.mlp_adds.register_forward_hook(adds(part_name("mlp", number))))
    hooks.enter_context(layer.layer.register_forward_hook(leave))


def _first(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output
