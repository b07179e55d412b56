"""From a checkpoint to its pattern space: which parts there are and what each level of each costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evop.errors import EvopError, refuse_unknown
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.families.family import GRAINS, Family
from evop.removal.ladder import head_ladder, width_ladder
from patterns import Cost, Part, PartKind, PatternSpace

COST_CONTEXT = 2048
"""Tokens of context at which FLOPs and KV bytes a token are counted; every table that shows them says so."""
THINNED: dict[str, tuple[PartKind, ...]] = {"head": ("attn",), "channel": ("mlp",), "mixed": ("attn", "mlp")}
"""Grain -> the kinds of blocks whose units may leave; the other grains take blocks whole."""
STOCK_PROTECTED = ("layers.0.attn",)
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
    """All patterns of a model at a grain; what its units matter is not known yet (``Ranking.priced``).

    Args:
        checkpoint: the model.
        grain: one of ``GRAINS``.
        deploy: ``"any"`` or ``"stock"``.
        protect: names of parts that stay dense; None for the default of the deploy.
        width_step: widths an MLP may be thinned to are multiples of it; None for one that suits the model.
        compensate: whether thinned blocks get a bias for what they lost; its parameters count.

    Raises:
        EvopError: unknown architecture, or a grain the family cannot hold.
    """
    family = family_of(checkpoint.model_type)
    _refuse(checkpoint, family, grain, deploy, width_step, compensate)
    if protect is None:
        protect = STOCK_PROTECTED if (deploy, grain) == ("stock", "subblock") else ()
    count = _Costs(checkpoint, family, compensate and grain in THINNED)
    layers = range(layer_count(checkpoint))
    blocks = sum((count.whole(kind, layer) for layer in layers for kind in ("attn", "mlp")), Cost())
    if grain in THINNED:
        ladders = _ladders(checkpoint, family, grain, deploy, width_step)
        parts = [count.thinned(kind, layer, ladder) for layer in layers for kind, ladder in ladders.items()]
    elif grain == "subblock":
        parts = [count.part(kind, layer) for layer in layers for kind in ("attn", "mlp")]
    else:
        parts = [_layer(count, layer) for layer in layers]
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
    """Number of decoder layers."""
    return int(checkpoint.resolved.num_hidden_layers)


def _refuse(
    checkpoint: Checkpoint, family: Family, grain: str, deploy: str, width_step: int | None, compensate: bool
) -> None:
    refuse_unknown("--grain", grain, GRAINS)
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
) -> dict[PartKind, tuple[int, ...]]:
    """Kind -> units gone at each level, of the kinds whose units may leave."""
    config = checkpoint.resolved
    ladders: dict[PartKind, tuple[int, ...]] = {}
    for kind in THINNED[grain]:
        units = family.units(config, kind)
        if kind == "attn":
            ladders[kind] = head_ladder(config, units, stock=deploy == "stock")
        else:
            ladders[kind] = width_ladder(units, width_step)
    return ladders


def _layer(count: _Costs, layer: int) -> Part:
    return Part(f"layers.{layer}", layer, "layer", (Cost(), count.whole("attn", layer) + count.whole("mlp", layer)))


@dataclass(frozen=True)
class _Costs:
    """Counts what blocks of a checkpoint cost, from the headers of its weights."""

    checkpoint: Checkpoint
    family: Family
    compensate: bool

    def whole(self, kind: str, layer: int) -> Cost:
        """A block with all that leaves with it."""
        block = self.family.block(kind)
        shapes = self._shapes(layer, block.modules)
        matmuls = sum(_numel(shape) for shape in shapes if len(shape) == 2)
        return self._cost(kind, layer, sum(map(_numel, shapes)), matmuls, 1, 1)

    def part(self, kind: PartKind, layer: int) -> Part:
        """A block that is there or gone."""
        return Part(f"layers.{layer}.{kind}", layer, kind, (Cost(), self.whole(kind, layer)))

    def thinned(self, kind: PartKind, layer: int, gone: Sequence[int]) -> Part:
        """A block whose units leave level by level; at the last, all of it does."""
        block, units = self.family.block(kind), gone[-1]
        weights = [_numel(self._shapes(layer, (s.module,), "weight")[0]) for s in block.slices]
        biases = sum(
            _numel(shape) for s in block.slices if s.bias for shape in self._shapes(layer, (s.module,), "bias")
        )
        added = 0
        if self.compensate and not self.family.own_bias(self.checkpoint.tensors, kind):
            added = int(self.checkpoint.resolved.hidden_size)
        removed = [
            self._cost(kind, layer, (sum(weights) + biases) * n // units - added, sum(weights) * n // units, n, units)
            for n in gone[1:-1]
        ]
        name = f"layers.{layer}.{kind}"
        return Part(name, layer, kind, (Cost(), *removed, self.whole(kind, layer)), tuple(gone))

    def _cost(self, kind: str, layer: int, params: int, matmuls: int, part: int, of: int) -> Cost:
        if kind != "attn":
            return Cost(params, 2 * matmuls)
        config = self.checkpoint.resolved
        heads, kv_heads, width = _heads(config)
        attended = min(COST_CONTEXT, _window(config, layer) or COST_CONTEXT)
        # Scores and values: two products of heads x width with, on average, half the context.
        flops = 2 * matmuls + 2 * attended * heads * width * part // of
        kv = 2 * kv_heads * width * self._bytes_a_number * part // of
        return Cost(params, flops, kv * attended // COST_CONTEXT)

    def _shapes(self, layer: int, modules: Iterable[str], ending: str = "") -> list[tuple[int, ...]]:
        """Shapes of the tensors under some modules of a layer; of those that end so alone."""
        stem = self.family.stem(self.checkpoint.tensors)
        begins = tuple(f"{stem}{layer}.{module}." for module in modules)
        tensors = self.checkpoint.tensors.items()
        found = [tensor.shape for name, tensor in tensors if name.startswith(begins) and name.endswith(ending)]
        if not found and ending != "bias":
            raise EvopError(
                f"{self.checkpoint.name} has no tensor under {begins[0]}*; its weights do not fit its config.json"
            )
        return found

    @property
    def _bytes_a_number(self) -> int:
        tensor = next(iter(self.checkpoint.tensors.values()))
        return tensor.nbytes // max(1, tensor.numel)


def _numel(shape: tuple[int, ...]) -> int:
    numel = 1
    for side in shape:
        numel *= side
    return numel


def _whole_model(checkpoint: Checkpoint, blocks: Cost) -> Cost:
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
