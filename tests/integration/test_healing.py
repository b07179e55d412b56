"""Healing the embedded model: what it says it brought back is back, on text that it never looked at too."""

from __future__ import annotations

import numpy as np
import pytest
from sets import small_set
from tiny import removing, write_pattern
from tolerance import within

from evop.evaluator import Evaluator
from evop.losses.objectives import cvar
from evop.losses.table import excess
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.reference import model_dir
from evop.removal.space import pattern_space
from evop.stages.heal import heal
from evop.stages.prune import prune
from evop.tokens.passages import tokenize

GONE = ("layers.2", "layers.6", "layers.10")
SHORT = {"tokens": 5000, "look_every": 2500, "batch_tokens": 500, "max_tokens": 128, "min_group_tokens": 100}


@pytest.fixture(scope="module")
def learnable():
    return small_set(train_tokens=3000)


@pytest.fixture(scope="module")
def healed(learnable, tmp_path_factory):
    folder = tmp_path_factory.mktemp("healed")
    pattern = write_pattern(folder / "pattern.json", *removing(model_dir(), *GONE, grain="layer"), model_dir())
    pruned = prune(model_dir(), pattern, folder / "pruned", parity=False).folder
    return pruned, heal(model_dir(), pruned, learnable, folder / "out", **SHORT)


def measured(folder, calibration, split, groups):
    """Mean loss of groups, by the evaluator, which healing does not use."""
    checkpoint = Checkpoint.find(folder)
    loaded = load_model(checkpoint)
    passages = tokenize([p for p in calibration.split(split) if p.group in groups], loaded.tokenizer, 128)
    space = pattern_space(checkpoint, "layer", "any", protect=())
    return Evaluator.of(loaded, space, 128).dense(passages).by_group


def test_the_curve_is_what_the_checkpoints_lose(healed, learnable):
    pruned, result = healed
    for folder, point in ((pruned, result.file.curve[0]), (result.folder, result.file.best)):
        losses = [measured(place, learnable, "select", point.excess) for place in (folder, model_dir())]
        assert point.excess == pytest.approx(excess(*losses), abs=within(1e-5))


def test_groups_come_back(healed, learnable):
    """A few thousand tokens are little: a fifth of the worse half's excess, on text never looked at some of it."""
    pruned, result = healed
    start, best = (np.array(list(point.excess.values())) for point in (result.file.curve[0], result.file.best))
    assert cvar(best) < 0.8 * cvar(start)
    before, after, dense = (
        measured(folder, learnable, "audit", result.file.best.excess) for folder in (pruned, result.folder, model_dir())
    )
    held_out = [cvar(np.array(list(excess(loss, dense).values()))) for loss in (before, after)]
    assert held_out[1] < 0.9 * held_out[0]
