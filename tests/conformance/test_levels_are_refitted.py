"""Laws 1, 2, 4 and 7 of levels that carry least-squares weights, over every architecture that may be thinned."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from saved import assert_generates_alike, assert_same, assert_saves_again
from sites import token_passages
from tiny import SHAPE, TINY, build, load, logits, random_ids

import evop.hf  # noqa: F401
from evop.errors import EvopError
from evop.evaluator import Evaluator, Profile, layer_stack
from evop.files.names import CORRECTIONS, PATTERN
from evop.importance.measured import measured_ranking
from evop.importance.moments import gathered_moments
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.loaded import load_model
from evop.removal.corrections import write_corrections
from evop.removal.opened import open_pattern
from evop.removal.pattern_file import PatternFile
from evop.removal.space import THINNED, pattern_space
from evop.stages.prune import prune
from patterns import Budget, Pattern

PASSAGES = token_passages({"law/0": [40, 21], "code/0": [33]}, vocabulary=SHAPE["vocab_size"])


def refitted(folder, grain, dtype="float32"):
    """An evaluator whose levels carry least-squares weights."""
    loaded = load_model(Checkpoint.find(folder), "cpu", dtype)
    evaluator = Evaluator.of(loaded, pattern_space(loaded.checkpoint, grain, protect=()), 64)
    ranking = measured_ranking(evaluator, PASSAGES, metric="flap", over="mean", compensate=False, seed=0)
    return evaluator.with_ranking(replace(ranking, moments=dict(gathered_moments(evaluator, PASSAGES))))


@pytest.mark.parametrize("grain", THINNED)
@pytest.mark.parametrize("name", TINY)
def test_a_refitted_level_equals_what_is_saved(name, grain, tmp_path, new_cell):
    checkpoint = Checkpoint.find(build(name, tmp_path / "model", dtype=torch.bfloat16))
    if reason := family_of(checkpoint.model_type).refusal(checkpoint.resolved, grain, "any"):
        with pytest.raises(EvopError, match=re.escape(reason)):
            pattern_space(checkpoint, grain)
        pytest.skip(f"{name} refuses grain {grain}: {reason}")
    evaluator = refitted(checkpoint.folder, grain)
    space, dense, ids = evaluator.space, load(checkpoint.folder), random_ids()
    before = logits(dense, ids)
    pattern = Pattern(tuple(1 if part.layer % 2 else 0 for part in space.parts))
    cut = evaluator.cut(pattern)
    assert cut.weights.keys() == cut.kept.keys() != set()
    run = tmp_path / "run"
    run.mkdir()
    how = {"remove": 0.1, "cost": "params", "compensate": "obs"}
    how["corrections"] = write_corrections(cut, run / CORRECTIONS)
    PatternFile.describe(checkpoint, space, pattern, cut, **how).write(run / PATTERN)
    opened = open_pattern(run, checkpoint)
    assert (opened.cut.gone, opened.cut.kept) == (cut.gone, cut.kept)
    cell = new_cell(name, grain, "any", "+obs")
    written = prune(checkpoint.folder, run, tmp_path / "out", parity=False)
    pruned = assert_same(dense, opened.cut, space.removed(pattern).params, written, ids, cell)
    assert_generates_alike(pruned, ids, cell)
    assert_saves_again(pruned, ids, tmp_path / "again", cell)
    assert torch.equal(logits(dense, ids), before), "the dense model was changed"
    assert not (written.folder / CORRECTIONS).exists()
    assert open_pattern(written.folder, checkpoint).checkpoint == written.folder


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox"])
def test_refitted_levels_together_are_each_alone_and_share_their_beginnings(name, tiny_folder, monkeypatch):
    evaluator = refitted(tiny_folder(name), "mixed" if name != "gpt_neox" else "channel")
    budget, rng = Budget(evaluator.space, 0.2), np.random.default_rng(0)
    patterns = [budget.draw(rng) for _ in range(4)]
    late = [level + (at == len(patterns[0].levels) - 1 and level == 0) for at, level in enumerate(patterns[0].levels)]
    patterns += [Pattern(tuple(late)), patterns[0]]
    measured, work = {}, {}
    for share in (True, False):
        other = replace(evaluator, share=share, cache_mb=0, profile=Profile())
        measured[share] = [table.loss for table in other.losses(patterns, PASSAGES)]
        work[share] = other.profile.block_tokens
    together = measured[True]
    assert np.array_equal(together, measured[False])
    assert np.array_equal(together, [evaluator.losses([pattern], PASSAGES)[0].loss for pattern in patterns])
    # The last is the first again, and the one before differs in the last layer alone.
    assert work[True] < 0.8 * work[False]
    monkeypatch.setattr(layer_stack, "COPIED_BYTES", 1)
    assert np.array_equal(together, [table.loss for table in evaluator.losses(patterns, PASSAGES)])
    bare = evaluator.with_ranking(replace(evaluator.ranking, moments={}))
    assert not np.allclose(together, [table.loss for table in bare.losses(patterns, PASSAGES)], rtol=1e-3)


def test_computed_in_half_precision_it_is_stored_as_the_model_is(tmp_path):
    checkpoint = Checkpoint.find(build("llama", tmp_path / "model", dtype=torch.float32))
    evaluator = refitted(checkpoint.folder, "channel", "bfloat16")
    cut = evaluator.cut(Pattern((1,) * len(evaluator.space.parts)))
    assert {weight.values.dtype for weight in cut.weights.values()} == {torch.float32}
