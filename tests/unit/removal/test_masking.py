"""A masked model computes what a smaller one would, also where the dense one overflows."""

import numpy as np
import pytest
import torch
from tiny import TINY, load, logits, random_ids

from evop.model.families import family_of
from evop.removal.cut import Cut
from evop.removal.masking import masked


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt"])
def test_a_unit_that_overflowed_is_gone_all_the_same(name, tiny_folder):
    model, family, ids = load(tiny_folder(name)), family_of(TINY[name][0]), random_ids()
    layer, kept = family.layer_list(model)[1], tuple(i for i in range(family.units(model.config, "mlp")) if i != 3)
    with masked(model, family, Cut(kept={("mlp", 1): kept})) as smaller:
        wanted = logits(smaller, ids)
    block = family.block("mlp")
    for sliced in (sliced for sliced in block.slices if sliced.module != block.out):
        weight = layer.get_submodule(sliced.module).weight
        weight.data.select(sliced.axis, 3).mul_(1e38)
    assert not torch.isfinite(logits(model, ids)).all()
    with masked(model, family, Cut(kept={("mlp", 1): kept})) as smaller:
        assert torch.equal(logits(smaller, ids), wanted)


def test_a_bias_is_added_once_a_token(tiny_folder):
    """In the model's own precision, to the output of the block's last projection."""
    model, family, ids, seen = load(tiny_folder("llama")).double(), family_of("llama"), random_ids(), []
    added = np.linspace(-1, 1, 32, dtype=np.float32)
    down = model.model.layers[0].mlp
    down.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    for bias in ({}, {("mlp", 0): added}):
        with masked(model, family, Cut(kept={("mlp", 0): tuple(range(40))}, bias=bias)) as smaller:
            logits(smaller, ids)
    without, with_bias = seen
    assert with_bias.dtype == torch.float64
    wanted = torch.from_numpy(added).double().expand_as(without)
    torch.testing.assert_close(with_bias - without, wanted, rtol=1e-7, atol=1e-7)
