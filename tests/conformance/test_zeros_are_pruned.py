"""Laws 1, 2 and 7 of weights that leave one by one, over every architecture: masked, written, loaded."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from saved import assert_generates_alike, assert_same, assert_saves_again
from sets import small_set
from tiny import TINY, build, load, logits, random_ids

from evop.evaluator import Evaluator
from evop.importance.weights import WeightScores, weight_metric
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.loaded import load_model
from evop.removal.cut import Cut
from evop.removal.masking import masked
from evop.removal.matrices import matrices_of, zeroed
from evop.removal.opened import open_pattern
from evop.removal.space import pattern_space
from evop.removal.sparsity import Sparsity
from evop.stages.prune import prune
from evop.tokens.passages import TokenPassages

QUICK = {"max_tokens": 16, "min_group_tokens": 10, "device": "cpu", "dtype": "float32"}


SPARSITIES = [(name, ("0.5", "2:4", "0.3,0.4,0.6,0.7")[at % 3]) for at, name in enumerate(TINY)]


@pytest.mark.parametrize(("name", "sparsity"), SPARSITIES)
def test_what_is_masked_is_written_and_loaded(name, sparsity, tmp_path, new_cell):
    folder = build(name, tmp_path / "model")
    loaded = load_model(Checkpoint.find(folder), "cpu", "float32")
    matrices, ids = matrices_of(loaded), random_ids()
    before = logits(loaded.model, ids)
    masks = WeightScores(matrices).masks(weight_metric("magnitude"), Sparsity.read(sparsity))
    cut = zeroed(loaded, matrices, masks)
    cell = new_cell(name, "weight", "any")
    how = {"remove": sparsity} if ":" not in sparsity else {"sparsity": sparsity}
    out = prune(folder, None, tmp_path / "out", grain="weight", importance="magnitude", parity=False, **how, **QUICK)
    pruned = assert_same(loaded.model, cut, 0, out, ids, cell)
    assert (logits(pruned, ids) - before).abs().max() > 0.01, "zeros make no difference"
    assert torch.equal(logits(loaded.model, ids), before), "the dense model was changed"
    # Every matrix of the layers has just so many zeros in every row, and nothing else has any.
    stays = {matrix.stored: matrix.turned(masks[matrix.place][matrix.name]) for matrix in matrices}
    for key, parameter in pruned.named_parameters():
        if key in stays:
            assert torch.equal(parameter != 0, stays[key]), key
        elif parameter.dim() == 2:
            assert parameter.count_nonzero() >= 0.9 * parameter.numel(), key
    assert stays.keys() <= dict(pruned.named_parameters()).keys()
    assert_generates_alike(pruned, ids, cell)
    assert_saves_again(pruned, ids, tmp_path / "again", cell)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "opt"])
def test_zeros_together_are_each_alone(name, tmp_path):
    loaded = load_model(Checkpoint.find(build(name, tmp_path / "model")), "cpu", "float32")
    matrices = matrices_of(loaded)
    scores = WeightScores(matrices)
    masks = [scores.masks(weight_metric(name), Sparsity.read("0.5")) for name in ("magnitude", "random")]
    cuts = [Cut(), *(zeroed(loaded, matrices, each) for each in masks)]
    ids = tuple(tuple(row) for row in random_ids(4, 24).tolist())
    passages = TokenPassages(ids, ("a", "a", "b", "b"), tuple("0123"), (False,) * 4)
    space = pattern_space(loaded.checkpoint, "weight")
    together = Evaluator.of(loaded, space, 32).line_losses(cuts, passages)
    alone = [Evaluator.of(loaded, space, 32).line_losses([one], passages)[0] for one in cuts]
    assert np.array_equal(together, np.stack(alone))
    with masked(loaded.model, family_of(loaded.checkpoint.model_type), cuts[1]):
        plain = Evaluator.of(loaded, space, 32).line_losses([Cut()], passages)[0]
    np.testing.assert_allclose(together[1], plain, rtol=1e-5)


def test_least_squares_keep_the_zeros_the_dtype_and_what_was_computed(tmp_path):
    """Checked in a fresh process, as every prune is; the same command, the same bytes."""
    folder, text = build("gpt2", tmp_path / "model", dtype=torch.bfloat16), small_set(train_tokens=600)
    outs = [tmp_path / one for one in ("plain", "fitted", "again")]
    for out in outs:
        refit = "none" if out.name == "plain" else "least-squares"
        prune(
            folder, None, out, grain="weight", sparsity="2:4", refit=refit, calibration=text,
            parity=out.name == "fitted", **QUICK,
        )  # fmt: skip
    plain, fitted = (load(out) for out in outs[:2])
    dense, zeros = dict(load(folder).named_parameters()), 0
    for (key, one), other in zip(plain.named_parameters(), fitted.parameters(), strict=True):
        if torch.equal(one, dense[key]):
            assert torch.equal(one, other), key
            continue
        assert not torch.equal(one, other), key
        assert not other[one == 0].any(), key
        zeros += int((one == 0).sum())
    accounts = [json.loads((out / "zeros.json").read_text()) for out in outs]
    assert zeros == accounts[1]["zeros"]["zeros"]
    assert accounts[0]["zeros"]["masks"] == accounts[1]["zeros"]["masks"]
    assert accounts[1]["tokens"].keys() == {"search", "train"}
    assert len({tensor.dtype for tensor in Checkpoint.find(outs[1]).tensors.values()}) == 1
    assert (outs[1] / "model.safetensors").read_bytes() == (outs[2] / "model.safetensors").read_bytes()
    opened = open_pattern(outs[1], Checkpoint.find(folder))
    assert (opened.checkpoint, opened.zeros.refit, opened.file.refit.method) == (outs[1], *["least-squares"] * 2)
    assert not (outs[1] / "corrections.safetensors").exists()
