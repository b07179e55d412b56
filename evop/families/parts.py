"""From a checkpoint to its pattern space: which parts there are and what each costs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from evop.checkpoint import Checkpoint
from evop.errors import EvopError
from evop.families.family import Block, Family, family_of
from patterns import Cost, Part, PatternSpace

COST_CONTEXT = 2048
"""Tokens of context at which FLOPs and KV bytes a token are counted; every table that shows them says so."""
GRAINS = ("layer", "subblock")
"""Every grain there is; a family says which of them it cannot hold."""
STOCK_PROTECTED = ("layers.0.attn",)
"""Under ``stock`` at sub-block grain: several runtimes read head sizes and the cache length from layer 0."""


def pattern_space(
    checkpoint: Checkpoint, grain: str, deploy: str = "any", protect: Iterable[str] | None = None
) -> PatternSpace:
    """All patterns of a model at a grain.

    Args:
        checkpoint: the model.
        grain: ``"layer"`` or ``"subblock"``.
        deploy: ``"any"`` or ``"stock"``.
        protect: names of parts that stay dense; None for the default of the deploy.

    Raises:
        EvopError: unknown architecture or grain, or a grain the model cannot hold under the deploy; says why.
    """
    family = family_of(checkpoint.model_type)
    if grain not in GRAINS:
        raise EvopError(f"--grain {grain}: unknown; choose one of {', '.join(GRAINS)}")
    if reason := family.refusal(checkpoint.resolved, grain, deploy):
        raise EvopError(f"{checkpoint.name} does not hold --grain {grain} under --deploy {deploy}: {reason}")
    if protect is None:
        protect = STOCK_PROTECTED if (deploy, grain) == ("stock", "subblock") else ()
    costs = [
        (_cost(checkpoint, family, i, family.attn), _cost(checkpoint, family, i, family.mlp))
        for i in range(int(checkpoint.resolved.num_hidden_layers))
    ]
    blocks = sum((attn + mlp for attn, mlp in costs), Cost())
    return PatternSpace(
        parts=tuple(part for i, pair in enumerate(costs) for part in _parts(i, grain, *pair)),
        grain=grain,
        blocks=blocks,
        model=_whole(checkpoint, family, blocks),
        deploy=deploy,
        protected=frozenset(protect),
        origin={"model": checkpoint.fingerprint, "cost_context": COST_CONTEXT},
    )


def _parts(layer: int, grain: str, attn: Cost, mlp: Cost) -> tuple[Part, ...]:
    if grain == "layer":
        return (Part(f"layers.{layer}", layer, "layer", (Cost(), attn + mlp)),)
    return (
        Part(f"layers.{layer}.attn", layer, "attn", (Cost(), attn)),
        Part(f"layers.{layer}.mlp", layer, "mlp", (Cost(), mlp)),
    )


def _cost(checkpoint: Checkpoint, family: Family, layer: int, block: Block) -> Cost:
    stem = family.stem(checkpoint.tensors)
    begins = tuple(f"{stem}{layer}.{module}." for module in block.modules)
    inside = [tensor for name, tensor in checkpoint.tensors.items() if name.startswith(begins)]
    if not inside:
        raise EvopError(f"{checkpoint.name} has no tensor under {begins[0]}*; its weights do not fit its config.json")
    matmuls = sum(tensor.numel for tensor in inside if len(tensor.shape) == 2)
    params = sum(tensor.numel for tensor in inside)
    if block is not family.attn:
        return Cost(params, 2 * matmuls)
    heads, kv_heads, width = _heads(checkpoint.resolved)
    attended = min(COST_CONTEXT, _window(checkpoint.resolved, layer) or COST_CONTEXT)
    # Scores and values: two products of heads x width with, on average, half the context.
    flops = 2 * matmuls + 2 * attended * heads * width
    kv = 2 * kv_heads * width * inside[0].nbytes // max(1, inside[0].numel)
    return Cost(params, flops, kv * attended // COST_CONTEXT)


def _whole(checkpoint: Checkpoint, family: Family, blocks: Cost) -> Cost:
    config = checkpoint.resolved
    head = 2 * int(config.vocab_size) * int(getattr(config, "word_embed_proj_dim", None) or config.hidden_size)
    return Cost(checkpoint.parameters, blocks.flops + head, blocks.kv)


def _heads(config: Any) -> tuple[int, int, int]:
    heads = int(config.num_attention_heads)
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(config, "head_dim", None) or int(config.hidden_size) // heads
    return heads, int(kv_heads), int(width)


def _window(config: Any, layer: int) -> int | None:
    types = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    return window if types is None or types[layer] == "sliding_attention" else None
