"""Laws 1, 2, 4 and 7 of patterns whose last projections got other weights, over every architecture."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from refitted import NOTE, reweighted
from saved import assert_generates_alike, assert_same, assert_saves_again
from tiny import TINY, build, load, logits, random_ids, ranking
from tolerance import within

import evop.hf  # noqa: F401
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.export.parity import TOLERANCE, compare
from evop.files.names import CORRECTIONS, PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.loaded import load_model
from evop.removal.corrections import write_corrections
from evop.removal.cut import Cut
from evop.removal.masking import masked
from evop.removal.opened import open_pattern
from evop.removal.pattern_file import PatternFile
from evop.removal.space import pattern_space
from evop.stages.prune import prune
from evop.tokens.passages import TokenPassages
from patterns import Budget

GRAINS = ("layer", "subblock", "channel", "mixed")


@pytest.fixture
def written(tmp_path):
    """Makes a tiny model, a refitted pattern of it on the disk, and the cut that it should be read as."""

    def write(name, grain, stored=torch.float32):
        checkpoint = Checkpoint.find(build(name, tmp_path / f"{name}-{stored}", dtype=stored))
        family = family_of(checkpoint.model_type)
        if reason := family.refusal(checkpoint.resolved, grain, "any"):
            with pytest.raises(EvopError, match=re.escape(reason)):
                pattern_space(checkpoint, grain)
            pytest.skip(f"{name} refuses grain {grain}: {reason}")
        space = pattern_space(checkpoint, grain, protect=())
        pattern = Budget(space, 0.3).draw(np.random.default_rng(0))
        dense = load(checkpoint.folder)
        cut = reweighted(dense, ranking(space).cut_of(space, pattern), stored)
        run = tmp_path / "run"
        run.mkdir()
        corrections = write_corrections(cut, run / CORRECTIONS)
        how = {"remove": 0.3, "cost": "params", "refit": NOTE, "corrections": corrections}
        PatternFile.describe(checkpoint, space, pattern, cut, **how).write(run / PATTERN)
        return checkpoint, dense, run, cut, space.removed(pattern).params

    return write


@pytest.mark.parametrize("grain", GRAINS)
@pytest.mark.parametrize("name", TINY)
def test_a_refitted_mask_equals_what_is_saved(name, grain, written, tmp_path, new_cell):
    checkpoint, dense, run, cut, claimed = written(name, grain)
    opened, ids = open_pattern(run, checkpoint), random_ids()
    before = logits(dense, ids)
    with masked(dense, family_of(checkpoint.model_type), replace(cut, weights={})):
        plain = logits(dense, ids)
    assert opened.cut.weights.keys() == cut.weights.keys()
    cell = new_cell(name, grain, "any", "+weights")
    pruned = assert_same(
        dense, opened.cut, claimed, prune(checkpoint.folder, run, tmp_path / "out", parity=False), ids, cell
    )
    assert (logits(pruned, ids) - plain).abs().max() > 0.01, "the weights make no difference"
    assert torch.equal(logits(dense, ids), before), "the dense model was changed"
    assert_generates_alike(pruned, ids, cell)
    assert_saves_again(pruned, ids, tmp_path / "again", cell)


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3_text"])
def test_refitted_weights_keep_the_dtype_of_the_model(name, stored, written, tmp_path):
    checkpoint, dense, run, _, claimed = written(name, "channel", stored)
    out = prune(checkpoint.folder, run, tmp_path / "out")
    pruned = load(out.folder)
    with masked(dense, family_of(checkpoint.model_type), open_pattern(run, checkpoint).cut):
        _, ratio, greedy = compare(logits(dense, random_ids()), logits(pruned, random_ids()))
    assert (ratio <= within(TOLERANCE), greedy) == (True, True)
    assert dense.num_parameters() - pruned.num_parameters() == claimed
    assert len({tensor.dtype for tensor in Checkpoint.find(out.folder).tensors.values()}) == 1


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "gemma3_text"])
def test_refitted_patterns_together_are_each_alone(name, written):
    checkpoint, _, run, cut, _ = written(name, "mixed" if name != "gpt_neox" else "channel")
    loaded = load_model(checkpoint, "cpu", "float32")
    space = open_pattern(run, checkpoint).space
    first = dict(sorted(cut.weights.items())[:3])
    cuts = [cut, Cut(), replace(cut, weights={}), replace(cut, weights=first), replace(cut, weights=dict(cut.weights))]
    ids = tuple(tuple(row) for row in random_ids(4, 24).tolist())
    passages = TokenPassages(ids, ("a", "a", "b", "b"), tuple("0123"), (False,) * 4)
    together = Evaluator.of(loaded, space, 32).line_losses(cuts, passages)
    alone = [Evaluator.of(loaded, space, 32).line_losses([one], passages)[0] for one in cuts]
    assert np.array_equal(together, np.stack(alone))
    assert np.array_equal(together[0], together[4])
    assert len({tuple(row) for row in together}) == 4


def test_a_refitted_checkpoint_holds_its_weights_once(written, tmp_path):
    checkpoint, _, run, cut, _ = written("llama", "mixed")
    out = prune(checkpoint.folder, run, tmp_path / "out", parity=False).folder
    assert not (out / CORRECTIONS).exists()
    opened = open_pattern(out, checkpoint)
    assert (opened.checkpoint, opened.cut.weights, opened.cut.kept) == (out, {}, cut.kept)
    with pytest.raises(EvopError, match="the pattern of a refitted checkpoint"):
        prune(checkpoint.folder, out, tmp_path / "again")


def test_a_run_without_its_weights_is_refused(written):
    checkpoint, _, run, *_ = written("llama", "mixed")
    (run / CORRECTIONS).unlink()
    with pytest.raises(EvopError, match="the pattern has corrections, but"):
        open_pattern(run, checkpoint)
