"""Every family is measured in batches as alone, its units are ranked, its corrected cuts masked as they are saved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sites import token_passages
from tiny import SHAPE, TINY, load, logits, random_ids
from tolerance import within

import evop.hf  # noqa: F401
from evop.evaluator import Evaluator
from evop.export.parity import TOLERANCE, compare
from evop.files.names import CORRECTIONS
from evop.importance.measured import INFLUENCE, measured_ranking
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.loaded import load_model
from evop.removal.compensation import compensated
from evop.removal.corrections import write_corrections
from evop.removal.masking import masked
from evop.removal.pattern_file import PatternFile
from evop.removal.space import THINNED, pattern_space
from evop.stages.prune import prune
from patterns import Pattern

PASSAGES = token_passages({"a": [20, 7], "b": [12]}, vocabulary=SHAPE["vocab_size"])
CELLS = [(name, grain) for name in TINY for grain in THINNED if grain != "head"]


def _loaded(folder, grain):
    checkpoint = Checkpoint.find(folder)
    if reason := family_of(checkpoint.model_type).refusal(checkpoint.resolved, grain, "any"):
        pytest.skip(reason)
    return load_model(checkpoint, "cpu", "float32")


@pytest.mark.parametrize(("name", "grain"), CELLS, ids=map("-".join, CELLS))
def test_a_corrected_cut_is_masked_as_it_is_saved(name, grain, tiny_folder, tmp_path):
    loaded = _loaded(tiny_folder(name), grain)
    space = pattern_space(loaded.checkpoint, grain, compensate=True)
    evaluator = Evaluator.of(loaded, space, 64)
    ranking = measured_ranking(evaluator, PASSAGES, metric="flap", over="worst", compensate=True, seed=0)
    pattern = Pattern(tuple(1 + i % (part.top - 1) if part.top > 1 else 0 for i, part in enumerate(space.parts)))
    cut = compensated(ranking.cut_of(space, pattern), loaded, ranking.fill)
    assert set(cut.bias) == set(cut.kept)
    digest = write_corrections(cut, tmp_path / CORRECTIONS)
    how = {"remove": 0.1, "cost": "params", "compensate": "bias", "corrections": digest}
    file = PatternFile.describe(loaded.checkpoint, space, pattern, cut, **how)
    file.write(tmp_path / "pattern.json")
    written = prune(tiny_folder(name), tmp_path / "pattern.json", tmp_path / "out", parity=False)
    pruned, ids = load(written.folder), random_ids()
    assert written.parameters[0] - written.parameters[1] == space.removed(pattern).params
    with masked(loaded.model, loaded.family, cut):
        _, ratio, greedy = compare(logits(loaded.model, ids), logits(pruned, ids))
    assert ratio <= within(TOLERANCE)
    assert greedy


@pytest.mark.parametrize("name", TINY)
def test_padding_changes_nothing(name, tiny_folder):
    """Learned positions, windows and norms see the real tokens alone."""
    loaded = _loaded(tiny_folder(name), "subblock")
    space = pattern_space(loaded.checkpoint, "subblock")
    asked = [space.dense, space.pattern(["layers.0.attn", "layers.2.mlp"])]
    together, alone = (Evaluator.of(loaded, space, 64, size).losses(asked, PASSAGES) for size in (3, 1))
    for batched, single in zip(together, alone, strict=True):
        assert (np.abs(batched.loss - single.loss) / PASSAGES.scored).max() < within(1e-5)


@pytest.mark.parametrize("name", TINY)
def test_every_block_turns_the_stream(name, tiny_folder):
    loaded = _loaded(tiny_folder(name), "subblock")
    space = pattern_space(loaded.checkpoint, "subblock")
    evaluator = Evaluator.of(loaded, space, 64)
    ranking = measured_ranking(evaluator, PASSAGES, metric=INFLUENCE, over="mean", compensate=False, seed=0)
    assert set(ranking.importance) == {part.name for part in space.parts}
    assert all(torch.tensor(value).gt(0).all() for value in ranking.importance.values())
