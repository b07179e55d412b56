"""From a checkpoint to its pattern space: which parts there are and what each level of each costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evop.errors import EvopError, refuse_unknown
from evop.model.checkpoint import Checkpoint, Tensor
from evop.model.families import BLOCK_KINDS, BlockKind, Family, family_of
from evop.model.families.family import GRAINS, WEIGHT
from evop.removal.cut import part_name
from evop.removal.ladder import head_ladder, width_ladder
from patterns import Cost, Part, PatternSpace

COST_CONTEXT = 2048
"""Tokens of context at which FLOPs and KV bytes per token are counted; every table that shows them says so."""
THINNED: dict[str, tuple[BlockKind, ...]] = {"head": ("attn",), "channel": ("mlp",), "mixed": BLOCK_KINDS}
"""Grain -> the kinds of blocks whose units may leave; the other grains take blocks whole."""
STOCK_PROTECTED = (part_name("attn", 0),)
"""Under ``stock`` at sub-block grain: several runtimes read head sizes and the cache length from layer 0."""


def pattern_space(
    checkpoint: Checkpoint,
    grain: str,
    deploy: str = "any",
    protect: Iterable[str] | None = None,
    *,
    width_step: int | None = None,
    compensate: bool = False,
) -> PatternSpace:
    """Build the space of all patterns of a model at a grain; ``Ranking.priced`` adds what the units matter.

    Args:
        checkpoint: the model.
        grain: one of ``GRAINS``; or ``WEIGHT``, at which no part leaves.
        deploy: ``"any"``, ``"balanced"`` or ``"stock"``.
        protect: names of parts that stay dense; None for the default of the deploy.
        width_step: what the widths of thinned MLPs are multiples of; None for a step that suits the model.
        compensate: whether thinned blocks get a bias for what they lost; its parameters count.

    Raises:
        EvopError: unknown architecture, or a grain the family cannot hold.
    """
    family = family_of(checkpoint.model_type)
    _refuse(checkpoint, family, grain, deploy, width_step, compensate)
    if protect is None:
        protect = STOCK_PROTECTED if (deploy, grain) == ("stock", "subblock") else ()
    costs = _Costs(checkpoint, family, compensate and grain in THINNED)
    layers = range(layer_count(checkpoint))
    blocks = sum((costs.block(kind, layer) for layer in layers for kind in BLOCK_KINDS), Cost())
    if grain in THINNED:
        ladders = _ladders(checkpoint, family, grain, deploy, width_step)
        parts = [costs.thinned_part(kind, layer, ladder) for layer in layers for kind, ladder in ladders.items()]
    elif grain in ("subblock", WEIGHT):
        parts = [costs.block_part(kind, layer) for layer in layers for kind in BLOCK_KINDS]
    else:
        parts = [costs.layer_part(layer) for layer in layers]
    return PatternSpace(
        parts=tuple(parts),
        grain=grain,
        blocks=blocks,
        model=_whole_model(checkpoint, blocks),
        deploy=deploy,
        protected=frozenset(protect),
        origin={"model": checkpoint.fingerprint, "cost_context": COST_CONTEXT},
    )


def layer_count(checkpoint: Checkpoint) -> int:
    """Count the decoder layers of a checkpoint."""
    return int(checkpoint.resolved.num_hidden_layers)


def _refuse(
    checkpoint: Checkpoint, family: Family, grain: str, deploy: str, width_step: int | None, compensate: bool
) -> None:
    """Check that the family holds such a space.

    Raises:
        EvopError: it does not.
    """
    refuse_unknown("--grain", grain, (*GRAINS, WEIGHT))
    if reason := family.refusal(checkpoint.resolved, grain, deploy):
        raise EvopError(f"{checkpoint.name} does not hold --grain {grain} under --deploy {deploy}: {reason}")
    if width_step is not None and "mlp" not in THINNED.get(grain, ()):
        raise EvopError(f"--width-step is for thinned MLPs, but --grain {grain} has none; leave it out")
    if compensate and grain not in THINNED:
        raise EvopError(
            f"--compensate bias is for thinned blocks, but --grain {grain} takes blocks whole; use --compensate none"
        )
    if compensate and deploy == "stock":
        for kind in THINNED[grain]:
            if not family.own_bias(checkpoint.tensors, kind):
                raise EvopError(
                    f"--compensate bias under --deploy stock: a stock {checkpoint.model_type} has no bias at "
                    f"{family.block(kind).out}; use --deploy any, or --compensate none"
                )


def _ladders(
    checkpoint: Checkpoint, family: Family, grain: str, deploy: str, width_step: int | None
) -> dict[BlockKind, tuple[int, ...]]:
    """Count the units gone at each level, of each kind of block whose units may leave."""
    config = checkpoint.resolved
    ladders: dict[BlockKind, tuple[int, ...]] = {}
    for kind in THINNED[grain]:
        units = family.units(config, kind)
        if kind == "attn":
            ladders[kind] = head_ladder(config, units, stock=deploy == "stock")
        else:
            ladders[kind] = width_ladder(units, width_step)
    return ladders


@dataclass(frozen=True)
class _Lost:
    """What is gone from a block at a level.

    Attributes:
        params: parameters that are gone.
        matmuls: parameters of matrices among them.
        units: units that are gone, out of ``all_units``.
    """

    params: int
    matmuls: int
    units: int = 1
    all_units: int = 1


@dataclass(frozen=True)
class _Costs:
    """Counts what blocks of a checkpoint cost, from the headers of its weights.

    Attributes:
        checkpoint: the model.
        family: the model's family.
        compensate: whether thinned blocks get a bias, whose parameters count.
    """

    checkpoint: Checkpoint
    family: Family
    compensate: bool

    def block(self, kind: BlockKind, layer: int) -> Cost:
        """Count a block with all that leaves with it."""
        tensors = self._tensors(layer, self.family.block(kind).modules)
        matmuls = sum(tensor.numel for tensor in tensors if len(tensor.shape) == 2)
        return self._cost(kind, layer, _Lost(sum(tensor.numel for tensor in tensors), matmuls))

    def layer_part(self, layer: int) -> Part:
        """Make the part of a whole layer that is there or gone."""
        whole = self.block("attn", layer) + self.block("mlp", layer)
        return Part(part_name("layer", layer), layer, "layer", (Cost(), whole))

    def block_part(self, kind: BlockKind, layer: int) -> Part:
        """Make the part of a block that is there or gone."""
        return Part(part_name(kind, layer), layer, kind, (Cost(), self.block(kind, layer)))

    def thinned_part(self, kind: BlockKind, layer: int, gone: Sequence[int]) -> Part:
        """Make the part of a block whose units leave level by level; at the last level, all of the block does."""
        slices, units = self.family.block(kind).slices, gone[-1]
        weights = sum(self._tensors(layer, (sliced.module,), "weight")[0].numel for sliced in slices)
        biased = [sliced.module for sliced in slices if sliced.bias]
        biases = sum(tensor.numel for module in biased for tensor in self._tensors(layer, (module,), "bias"))
        added = 0
        if self.compensate and not self.family.own_bias(self.checkpoint.tensors, kind):
            added = int(self.checkpoint.resolved.hidden_size)
        removed = [
            self._cost(kind, layer, _Lost((weights + biases) * n // units - added, weights * n // units, n, units))
            for n in gone[1:-1]
        ]
        levels = (Cost(), *removed, self.block(kind, layer))
        return Part(part_name(kind, layer), layer, kind, levels, tuple(gone))

    def _cost(self, kind: BlockKind, layer: int, lost: _Lost) -> Cost:
        """Count what is gone with some units of a block: parameters, FLOPs per token, KV-cache bytes per token."""
        if kind != "attn":
            return Cost(lost.params, 2 * lost.matmuls)
        config = self.checkpoint.resolved
        heads, kv_heads, width = heads_of(config)
        attended = min(COST_CONTEXT, self.family.window(config, layer) or COST_CONTEXT)
        # Scores and values: two products of heads x width with, on average, half the context.
        flops = 2 * lost.matmuls + 2 * attended * heads * width * lost.units // lost.all_units
        # Keys and values; of a layer with a sliding window, no more positions stay in the cache than it looks back.
        kv = 2 * kv_heads * width * self._bytes_per_number * lost.units // lost.all_units
        return Cost(lost.params, flops, kv * attended // COST_CONTEXT)

    def _tensors(self, layer: int, modules: Iterable[str], ending: str = "") -> list[Tensor]:
        """List the tensors under some modules of a layer; of those, the ones whose names end so."""
        stem = self.family.stem(self.checkpoint.tensors)
        begins = tuple(f"{stem}{layer}.{module}." for module in modules)
        stored = self.checkpoint.tensors.items()
        tensors = [tensor for name, tensor in stored if name.startswith(begins) and name.endswith(ending)]
        if not tensors and ending != "bias":
            raise EvopError(
                f"{self.checkpoint.name} has no tensor under {begins[0]}*; its weights do not fit its config.json"
            )
        return tensors

    @property
    def _bytes_per_number(self) -> int:
        tensor = next(iter(self.checkpoint.tensors.values()))
        return tensor.nbytes // max(1, tensor.numel)


def _whole_model(checkpoint: Checkpoint, blocks: Cost) -> Cost:
    """Count all of a model: its blocks, its embeddings, its output head."""
    config = checkpoint.resolved
    head = 2 * int(config.vocab_size) * int(getattr(config, "word_embed_proj_dim", None) or config.hidden_size)
    return Cost(checkpoint.parameters, blocks.flops + head, blocks.kv)


def heads_of(config: Any) -> tuple[int, int, int]:
    """Read the query heads, the key/value heads and the width of a head."""
    heads = int(config.num_attention_heads)
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(config, "head_dim", None) or int(config.hidden_size) // heads
    return heads, int(kv_heads), int(width)
