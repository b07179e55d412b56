"""What the families say of units, against the modules: a unit that leaves them is a unit whose features are zero."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny import TINY, load, logits, random_ids
from tolerance import beyond, within
from torch import nn

from evop.export.parity import TOLERANCE, compare
from evop.model.families import Block, Family, Sliced, family_of

LAYER, UNIT = 1, 1
BLOCKS = [
    (name, kind)
    for name, (model_type, _) in TINY.items()
    for kind in ("attn", "mlp")
    if family_of(model_type).block(kind).slices
]
WITHOUT = {("olmo2", "attn"), ("bitnet", "attn"), ("bitnet", "mlp")}
"""Norms over all units inside the block: no unit can leave without changing what the others are divided by."""


def kept(family: Family, config, kind: str, sliced: Sliced, length: int) -> torch.Tensor:
    """Indices along an axis that stay when ``UNIT`` leaves."""
    units, heads = family.units(config, kind), config.num_attention_heads
    sizes = [heads if segment == "query" else units for segment in sliced.segments] or [1]
    stays, start = [], 0
    for size in (length * size // sum(sizes) for size in sizes):
        own = torch.arange(start, start + size).view(units, -1)
        stays.append(torch.cat([own[:UNIT], own[UNIT + 1 :]]).flatten())
        start += size
    assert start == length
    return torch.cat(stays)


def shrink(module: nn.Module, sliced: Sliced, stays: torch.Tensor) -> None:
    """Take what stays, as the data say."""
    module.weight = nn.Parameter(module.weight.index_select(sliced.axis, stays), requires_grad=False)
    if module.bias is not None and sliced.bias:
        module.bias = nn.Parameter(module.bias[stays], requires_grad=False)
    if hasattr(module, "nf"):
        module.nx, module.nf = module.weight.shape


def without_unit(family: Family, block: Block, layer: nn.Module, config, kind: str) -> None:
    """Slice ``UNIT`` out of a layer."""
    units, main = family.units(config, kind), layer.get_submodule(block.main)
    for sliced in block.slices:
        module = layer.get_submodule(sliced.module)
        shrink(module, sliced, kept(family, config, kind, sliced, module.weight.shape[sliced.axis]))
    for name in block.scaled:
        setattr(main, name, getattr(main, name) * (units - 1) // units)
    if kind == "attn":  # Phi-3 reads its heads from the config of its layer
        main.config = copy.copy(main.config)
        main.config.num_attention_heads = config.num_attention_heads * (units - 1) // units


@pytest.mark.parametrize(("name", "kind"), BLOCKS, ids=map("-".join, BLOCKS))
def test_a_unit_less_is_a_unit_of_zeros(name, kind, tiny_folder):
    model, family, ids = load(tiny_folder(name)), family_of(TINY[name][0]), random_ids()
    block, layer, dense = family.block(kind), family.layer_list(model)[LAYER], logits(model, ids)
    config = copy.deepcopy(model.config)
    units, before = family.units(config, kind), sum(parameter.numel() for parameter in layer.parameters())

    def without(module, inputs):
        features = inputs[0].unflatten(-1, (units, -1)).clone()
        features[..., UNIT, :] = 0
        return (features.flatten(-2), *inputs[1:])

    hook = layer.get_submodule(block.out).register_forward_pre_hook(without)
    expected = logits(model, ids)
    hook.remove()
    assert compare(dense, expected)[1] > beyond(100 * TOLERANCE)
    without_unit(family, block, layer, config, kind)
    _, ratio, greedy = compare(expected, logits(model, ids))
    assert ratio <= within(TOLERANCE)
    assert greedy
    out = layer.get_submodule(block.out).weight.shape[block.out_axis]
    assert out % (units - 1) == 0
    assert sum(parameter.numel() for parameter in layer.parameters()) < before


def test_every_block_says_how_it_shrinks_or_is_known_not_to():
    assert {(name, kind) for name in TINY for kind in ("attn", "mlp")} == {*BLOCKS, *WITHOUT}


@pytest.mark.parametrize("name", [name for name in TINY if name != "opt_post_norm"])
def test_blocks_add_to_the_stream_what_they_say(name, tiny_folder):
    """Post-norm OPT normalises the sum, so that nothing is merely added."""
    model, family = load(tiny_folder(name)), family_of(TINY[name][0])
    layer, seen = family.layer_list(model)[LAYER], {}

    def note(key):
        return lambda module, inputs, output: seen.update({key: output[0] if isinstance(output, tuple) else output})

    layer.register_forward_pre_hook(lambda module, inputs: seen.update(before=inputs[0]))
    layer.register_forward_hook(note("after"))
    for kind in ("attn", "mlp"):
        layer.get_submodule(family.block(kind).adds).register_forward_hook(note(kind))
    logits(model, random_ids())
    added = (seen["after"] - seen["before"]).flatten()
    torch.testing.assert_close((seen["attn"].flatten() + seen["mlp"].flatten()), added, rtol=1e-4, atol=1e-4)
