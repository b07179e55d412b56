"""What the evaluator does where memory runs out."""

import numpy as np
import pytest
import torch
from sites import token_passages
from tiny import SHAPE

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.importance import measured
from evop.importance.measured import measured_ranking
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space

PASSAGES = token_passages({"law": [30, 12], "code": [9]}, vocabulary=SHAPE["vocab_size"])
WITH_DATA = [("mixed", "flap", "gather"), ("subblock", "influence", "_influence")]
NO_ROOM = torch.OutOfMemoryError("no room")


@pytest.fixture
def evaluator(tiny_folder):
    return evaluator_of(tiny_folder, cache_mb=16)


def evaluator_of(tiny_folder, grain="mixed", batch_size=None, cache_mb=0):
    loaded = load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")
    space = pattern_space(loaded.checkpoint, grain)
    return Evaluator(loaded, space, Ranking(), 64, batch_size, cache_mb=cache_mb)


def holding(most, asked, run):
    """A step for which there is room with so many tokens per batch."""

    def step(batch_tokens):
        asked.append(batch_tokens)
        if batch_tokens > most:
            raise NO_ROOM
        return run(batch_tokens)

    return step


def test_batches_halve_until_there_is_room_and_stay_so(evaluator):
    asked = []
    assert evaluator.backoff(holding(150, asked, lambda batch_tokens: batch_tokens)) == 128
    assert evaluator.backoff(holding(150, asked, lambda batch_tokens: -batch_tokens)) == -128
    assert asked == [512, 256, 128, 128]
    with pytest.raises(EvopError, match="out of memory on cpu with 64 tokens per batch"):
        evaluator.backoff(holding(1, asked, int))


def test_a_batch_size_that_was_asked_for_is_not_halved(tiny_folder):
    asked = []
    with pytest.raises(EvopError, match="out of memory on cpu with 256 tokens per batch; use a smaller --batch-size"):
        evaluator_of(tiny_folder, batch_size=4).backoff(holding(1, asked, int))
    assert asked == [256]


@pytest.mark.parametrize(
    ("grain", "metric", "pass_"), [("mixed", "flap", "gather"), ("subblock", "influence", "_influence")]
)
def test_importance_halves_as_well(grain, metric, pass_, tiny_folder, monkeypatch):
    ranked = []
    options = {"metric": metric, "over": "mean", "compensate": False, "seed": 0}
    ranked.append(measured_ranking(evaluator_of(tiny_folder, grain), PASSAGES, **options))
    real, asked = getattr(measured, pass_), []

    def short_of_memory(*words, **named):
        asked.append(next(word for word in words if isinstance(word, int)))
        if asked[-1] > 150:
            raise NO_ROOM
        return real(*words, **named)

    monkeypatch.setattr(measured, pass_, short_of_memory)
    evaluator = evaluator_of(tiny_folder, grain)
    ranked.append(measured_ranking(evaluator, PASSAGES, **options))
    assert asked == [512, 256, 128]
    assert evaluator.batch.tokens == 128
    one, other = (ranking.importance or ranking.scores for ranking in ranked)
    assert one.keys() == other.keys()
    for part, values in one.items():
        np.testing.assert_allclose(other[part], values, rtol=1e-4)


def test_what_is_kept_to_save_time_goes_before_batches_shrink(evaluator):
    evaluator.dense(PASSAGES)
    assert evaluator._cache.used
    asked = []

    def short_of_room_once(batch_tokens):
        asked.append(batch_tokens)
        if len(asked) == 1:
            raise NO_ROOM
        return batch_tokens

    assert evaluator.backoff(short_of_room_once) == 512
    assert asked == [512, 512]
    evaluator.dense(PASSAGES)
    assert evaluator._cache.used == 0
