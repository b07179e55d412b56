"""What weights and cache take together, at a stated context, batch and dtype."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.model.families import Family, family_of
from evop.removal.space import COST_CONTEXT, heads_of, layer_count
from patterns import Cost, Part, PatternSpace

SIZES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Dtype -> bytes of a number."""
STORED = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
"""Dtype of safetensors -> its name."""


@dataclass(frozen=True)
class Memory:
    """How bytes are counted: those of the weights, and of the keys and values of so many tokens.

    What a runtime needs beside them (activations, buffers) is not counted.

    Attributes:
        context: tokens in the cache, of each sequence.
        batch: number of sequences.
        dtype: of weights and cache: a key of ``SIZES``.
    """

    context: int
    batch: int
    dtype: str

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, context: int | None = None, batch: int | None = None, dtype: str | None = None
    ) -> Memory:
        """Fill in what is left open to suit a model.

        Raises:
            EvopError: more tokens than the model has positions, or weights of several dtypes where none is named.
        """
        positions = int(getattr(checkpoint.resolved, "max_position_embeddings", None) or context or COST_CONTEXT)
        if context is not None and context > positions:
            raise EvopError(f"--fit-context {context}, but the model has {positions} positions; give no more")
        if dtype in (None, "auto"):
            stored = sorted({tensor.dtype for tensor in checkpoint.tensors.values()})
            if len(stored) > 1 or stored[0] not in STORED:
                raise EvopError(
                    f"--fit-in counts weights of one dtype, but {checkpoint.name} stores {', '.join(stored)}; name "
                    f"the one it will run in with --fit-dtype {'|'.join(SIZES)}"
                )
            dtype = STORED[stored[0]]
        return cls(context or min(COST_CONTEXT, positions), batch or 1, str(dtype))

    def counted(self, checkpoint: Checkpoint, space: PatternSpace) -> PatternSpace:
        """Give every level of a space the bytes that it removes; the space keeps its fingerprint."""
        family, size = family_of(checkpoint.model_type), SIZES[self.dtype]
        caches = [self._cache(checkpoint, family, layer) for layer in range(layer_count(checkpoint))]

        def sized(cost: Cost, cache: int) -> Cost:
            return replace(cost, memory=size * cost.params + cache)

        def part_of(part: Part) -> Part:
            whole = 0 if part.kind == "mlp" else caches[part.layer]
            units = part.units or tuple(range(part.top + 1))
            levels = zip(part.removed, units, strict=True)
            return replace(part, removed=tuple(sized(cost, whole * gone // units[-1]) for cost, gone in levels))

        return replace(
            space,
            parts=tuple(map(part_of, space.parts)),
            blocks=sized(space.blocks, sum(caches)),
            model=sized(space.model, sum(caches)),
        )

    def _cache(self, checkpoint: Checkpoint, family: Family, layer: int) -> int:
        """Count the bytes of a layer's keys and values; none lie there beyond its window."""
        _, kv_heads, width = heads_of(checkpoint.resolved)
        held = min(self.context, family.window(checkpoint.resolved, layer) or self.context)
        return 2 * kv_heads * width * SIZES[self.dtype] * held * self.batch
