"""The tensors of a GGUF file: new names, rows in llama.cpp's order, zeros where it cannot do without a block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evop.errors import EvopError
from evop.export.gguf.architecture import OUTSIDE, Architecture
from evop.export.gguf.rope import frequency_factors
from evop.export.source import LayerShape, Source
from evop.removal.space import heads_of

if TYPE_CHECKING:
    import torch

IDLE_WIDTH = 32
"""Channels of the zero MLP that stands for one that is gone: the block size of most quantisations."""


@dataclass(frozen=True)
class GgufTensor:
    """One tensor of the file: its name, its shape, and how to make it, float of any width."""

    name: str
    shape: tuple[int, ...]
    make: Callable[[], torch.Tensor]


def filled(shape: LayerShape, architecture: Architecture, layer: int) -> LayerShape:
    """Say what a layer holds in the file: where a block is gone and llama.cpp needs one, a small one of zeros.

    ``deci`` drops what attention adds where a layer has no MLP, and reads the head size from the first layer;
    ``openelm`` has both blocks in every layer.
    """
    if architecture.name not in ("deci", "openelm"):
        return shape
    idle = not shape.heads and (layer == 0 or architecture.name == "openelm")
    heads, groups = (1, 1) if idle else (shape.heads, shape.groups)
    return LayerShape(heads, groups, shape.width or IDLE_WIDTH)


def tensors_of(source: Source, architecture: Architecture) -> list[GgufTensor]:
    """List the tensors of the file.

    Raises:
        EvopError: a tensor that llama.cpp has no name for.
    """
    tensors = [*_outside(source, architecture)]
    for layer, shape in enumerate(source.layers):
        tensors += _inside(source, architecture, layer)
        tensors += _idle(source, architecture, layer, shape)
    return tensors


def _outside(source: Source, architecture: Architecture) -> Iterator[GgufTensor]:
    if architecture.name != "openelm" and (factors := frequency_factors(source.resolved)) is not None:
        yield GgufTensor("rope_freqs.weight", tuple(factors.shape), lambda: factors)
    for name in source.pieces:
        if name.startswith(source.stem):
            continue
        module, _, parameter = source.called(name).rpartition(".")
        if module == "lm_head" and source.tied:
            continue
        if module not in OUTSIDE:
            raise EvopError(f"--format gguf: llama.cpp has no place for tensor {name} in its {architecture.name}")
        yield _plain(source, architecture, name, f"{OUTSIDE[module]}.{parameter}")


def _inside(source: Source, architecture: Architecture, layer: int) -> Iterator[GgufTensor]:
    """Yield the tensors of a layer that the pruned model has."""
    stem, shape = f"{source.stem}{layer}.", source.layers[layer]
    mine = [name for name in source.pieces if name.startswith(stem)]
    if architecture.name == "openelm" and shape.heads:
        parts = [f"{stem}self_attn.{part}_proj.weight" for part in "qkv"]
        rows = sum(source.shape(part)[0] for part in parts)
        yield GgufTensor(
            f"blk.{layer}.attn_qkv.weight", (rows, source.shape(parts[0])[1]), lambda: _joined(source, parts)
        )
        mine = [name for name in mine if name not in parts]
    for name in mine:
        module, _, parameter = name.removeprefix(stem).rpartition(".")
        if module not in architecture.inside:
            raise EvopError(f"--format gguf: llama.cpp has no place for tensor {name} in its {architecture.name}")
        new = f"blk.{layer}.{architecture.inside[module]}.{parameter}"
        heads = {"self_attn.q_proj": shape.heads, "self_attn.k_proj": shape.groups}.get(module)
        if architecture.rotated and heads:
            yield _turned(source, name, new, heads)
        else:
            yield _plain(source, architecture, name, new)


def _idle(source: Source, architecture: Architecture, layer: int, shape: LayerShape) -> Iterator[GgufTensor]:
    """Yield the zeros that stand for a block that is gone."""
    there, hidden, head = filled(shape, architecture, layer), source.resolved.hidden_size, head_size(source)
    if there.heads != shape.heads:
        yield _constant(f"blk.{layer}.attn_norm.weight", (hidden,), 1.0)
        if architecture.name == "openelm":
            yield _constant(f"blk.{layer}.attn_qkv.weight", (3 * head, hidden), 0.0)
            for part in "qk":
                yield _constant(f"blk.{layer}.attn_{part}_norm.weight", (head,), 1.0)
        else:
            for part in "qkv":
                yield _constant(f"blk.{layer}.attn_{part}.weight", (head, hidden), 0.0)
        yield _constant(f"blk.{layer}.attn_output.weight", (hidden, head), 0.0)
    if there.width != shape.width:
        yield _constant(f"blk.{layer}.ffn_norm.weight", (hidden,), 1.0)
        for part in ("gate", "up"):
            yield _constant(f"blk.{layer}.ffn_{part}.weight", (there.width, hidden), 0.0)
        yield _constant(f"blk.{layer}.ffn_down.weight", (hidden, there.width), 0.0)


def head_size(source: Source) -> int:
    """Count the numbers of one head."""
    return heads_of(source.resolved)[2]


def _plain(source: Source, architecture: Architecture, name: str, new: str) -> GgufTensor:
    if architecture.one_more and new.endswith("norm.weight"):
        return GgufTensor(new, source.shape(name), lambda: source.tensor(name).float() + 1)
    return GgufTensor(new, source.shape(name), lambda: source.tensor(name))


def _turned(source: Source, name: str, new: str, heads: int) -> GgufTensor:
    """Bring the rows of queries or keys into pairs: the two numbers that turn together lie side by side."""

    def make() -> torch.Tensor:
        tensor = source.tensor(name)
        pairs = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
        return pairs.swapaxes(1, 2).reshape(tensor.shape)

    return GgufTensor(new, source.shape(name), make)


def _joined(source: Source, names: list[str]) -> torch.Tensor:
    import torch

    return torch.cat([source.tensor(name) for name in names])


def _constant(name: str, shape: tuple[int, ...], value: float) -> GgufTensor:
    import torch

    return GgufTensor(name, shape, lambda: torch.full(shape, value))
