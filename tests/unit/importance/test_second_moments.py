"""Second moments at the sites: against plain sums, however the passages are dealt out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sites import token_passages
from tiny import SHAPE

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.importance import moments as module
from evop.importance.moments import gathered_moments, moment_passes, moment_sizes
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.removal.space import pattern_space

PASSAGES = token_passages({"law/0": [9, 30], "law/1": [12], "code/0": [2]}, vocabulary=SHAPE["vocab_size"])
"""Two domains; of ``code`` a single token counts."""


def evaluator_of(folder, batch_size=None):
    loaded = load_model(Checkpoint.find(folder), "cpu", "float32")
    return Evaluator.of(loaded, pattern_space(loaded.checkpoint, "mixed"), 64, batch_size)


def plain(loaded, out, passages):
    """Written apart: every passage alone, its first token left out; the mean over domains of their means."""
    seen, rows = [], {}
    hook = out.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    for ids, group in zip(passages.ids, passages.groups, strict=True):
        loaded.model(input_ids=torch.tensor([ids]), use_cache=False)
        rows.setdefault(group.split("/")[0], []).append(seen.pop().reshape(len(ids), -1)[1:].double().numpy())
    hook.remove()
    every = [np.concatenate(own) for own in rows.values()]
    return np.mean([own.T @ own / len(own) for own in every], axis=0)


@pytest.mark.parametrize(
    ("name", "attn", "mlp"), [("llama", "o_proj", "down_proj"), ("gpt2", "attn.c_proj", "mlp.c_proj")]
)
def test_every_domain_weighs_the_same_and_first_tokens_nothing(name, attn, mlp, tiny_folder):
    evaluator = evaluator_of(tiny_folder(name))
    found = dict(gathered_moments(evaluator, PASSAGES))
    assert list(found) == [part.name for part in evaluator.space.parts]
    layer = evaluator.loaded.family.layer_list(evaluator.loaded.model)[2]
    for part, ending in (("layers.2.attn", attn), ("layers.2.mlp", mlp)):
        out = next(module for name, module in layer.named_modules() if name.endswith(ending))
        wanted = plain(evaluator.loaded, out, PASSAGES)
        assert found[part].dtype == np.float32
        np.testing.assert_allclose(found[part], wanted, atol=1e-5 * wanted.max())
        np.testing.assert_allclose(found[part], found[part].T, atol=1e-6 * wanted.max())


def test_passes_and_batches_make_no_difference(tiny_folder, monkeypatch):
    wide = 48 * 48 * 8
    evaluator = evaluator_of(tiny_folder("llama"))
    whole, sizes = dict(gathered_moments(evaluator, PASSAGES)), moment_sizes(evaluator.loaded, evaluator.space)
    assert (sizes, moment_passes(sizes)) == ([32, 48] * 4, 1)
    for room, passes in ((2 * wide, 4), (1, 8)):
        monkeypatch.setattr(module, "SUMS_BYTES", room)
        assert moment_passes(sizes) == passes
        dealt = dict(gathered_moments(evaluator_of(tiny_folder("llama"), batch_size=1), PASSAGES))
        assert list(dealt) == list(whole)
        for part, moments in dealt.items():
            np.testing.assert_allclose(moments, whole[part], rtol=1e-4, atol=1e-5 * whole[part].max())


def test_inputs_that_are_not_finite_are_refused(tiny_folder):
    evaluator = evaluator_of(tiny_folder("llama"))
    weight = evaluator.loaded.model.model.layers[1].mlp.up_proj.weight
    weight.data[3, 0] = float("inf")
    with pytest.raises(EvopError, match=r"layers\.1\.mlp: a second moment of its input is not finite; use --dtype"):
        dict(gathered_moments(evaluator, PASSAGES))
    assert not any(module._forward_pre_hooks for module in evaluator.loaded.model.modules())
