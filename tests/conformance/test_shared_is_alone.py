"""Law 2, the fast half: what is shared, looked up or cut short is what each pattern gives alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sets import small_set
from sites import token_items, token_passages
from tiny import SHAPE, TINY, ranking

import evop.hf  # noqa: F401
from evop.evaluator import Evaluator, walk
from evop.evaluator.layer_stack import LayerStack
from evop.fitness.fitness import Fitness
from evop.fitness.sample import Sample
from evop.losses import ITEM_METERS, METERS
from evop.losses.loss import Loss
from evop.losses.objectives import OBJECTIVES, objective_of
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.loaded import load_model
from evop.reference import model_dir
from evop.removal.space import GRAINS, pattern_space
from evop.stages.search import search
from patterns import Budget

PASSAGES = token_passages({"a": [20, 7, 20], "b": [12, 3], "c": [18]}, vocabulary=SHAPE["vocab_size"])
ITEMS = token_items(
    {"a": [(9, (3, 4))] * 5, "b": [(1, (5, 6, 2))] * 4, "c": [(12, (1, 1))] * 3}, vocabulary=SHAPE["vocab_size"]
)
REL = {"nll": 0, "kl": 0, "reconstruction": 1e-6}
"""What rounding explains beside 1e-5 nats: squared logits are summed over a vocabulary, to thousands a token."""
CELLS = [(name, grain, loss) for name in TINY for grain in GRAINS for loss in METERS]


def evaluators(folder, grain, loss):
    checkpoint = Checkpoint.find(folder)
    if reason := family_of(checkpoint.model_type).refusal(checkpoint.resolved, grain, "any"):
        pytest.skip(reason)
    loaded = load_model(checkpoint, "cpu", "float32")
    space = pattern_space(checkpoint, grain)

    def made(**options):
        return Evaluator(loaded, space, ranking(space), 64, 2, Loss.named(loss), **options).with_ranking(ranking(space))

    return made


def drawn(space, count=6):
    budget = Budget(space, 0.1 if space.grain == "head" else 0.3)
    rng = np.random.default_rng(0)
    parent = budget.draw(rng)
    return [space.dense, parent, *(budget.move(parent, rng) for _ in range(count)), budget.draw(rng), parent]


@pytest.mark.parametrize(("name", "grain", "loss"), CELLS, ids=map("-".join, CELLS))
def test_together_with_a_cache_is_alone_without(name, grain, loss, tiny_folder):
    made = evaluators(tiny_folder(name), grain, loss)
    alone, together = made(share=False), made(cache_mb=64)
    patterns = drawn(alone.space)
    expected = alone.losses(patterns, PASSAGES)
    together.dense(PASSAGES)
    first = together.profile.block_tokens
    for _ in range(2):  # as the cache is filled, and from it
        before = together.profile.cached
        for one, other in zip(together.losses(patterns, PASSAGES), expected, strict=True):
            assert np.array_equal(one.loss, other.loss)
    assert together.profile.cached > before
    assert (together.profile.block_tokens - first) / 2 < alone.profile.block_tokens


def test_a_group_is_the_same_to_the_last_bit_whatever_is_measured_with_it():
    """A search that is resumed measures other groups together than one that was not."""
    loaded = load_model(Checkpoint.find(model_dir()), "cpu", "float32")
    ragged = token_passages({"a": [250, 40, 131], "b": [77, 12, 200], "c": [180, 19]}, vocabulary=4096)
    evaluator = Evaluator.of(loaded, pattern_space(loaded.checkpoint, "subblock"), 256, 4)
    patterns = drawn(evaluator.space, 2)
    together = evaluator.losses(patterns, ragged)
    for groups in (["a"], ["b", "c"], ["c"]):
        mine = [i for i, group in enumerate(ragged.groups) if group in groups]
        for whole, part in zip(together, evaluator.losses(patterns, ragged.only(groups)), strict=True):
            assert np.array_equal(whole.loss[mine], part.loss)


@pytest.mark.parametrize("room", [0, 1])
def test_the_cache_keeps_to_its_bound(room, tiny_folder):
    made = evaluators(tiny_folder("llama"), "subblock", "kl")
    evaluator = made(cache_mb=room)
    size = 4 * SHAPE["hidden_size"]
    evaluator._cache.bytes = room * 70 * size  # less than two layers of the 80 tokens
    evaluator.losses(drawn(evaluator.space), PASSAGES)
    assert evaluator._cache.used <= evaluator._cache.bytes
    assert (evaluator._cache.used > 0) is bool(room)


@pytest.mark.parametrize("loss", [*METERS, *ITEM_METERS])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_is_cut_would_have_been_worse_than_its_bound(loss, objective, tiny_folder):
    evaluator = evaluators(tiny_folder("llama"), "mixed", loss)()
    patterns = list(dict.fromkeys(drawn(evaluator.space, 12)))
    given = ITEMS if loss in ITEM_METERS else PASSAGES

    def fitness():
        sample = Sample.whole(evaluator, given)
        return Fitness(sample, objective_of(objective, tail=0.25), {sample.full.passages: sample.dense(sample.full)})

    exact = list(fitness()(patterns))
    bound = float(np.median([found.value for found in exact]))
    bounded = fitness()
    order = bounded.worst_first([])[::-1]
    found = list(bounded(patterns, bounds=[bound] * len(patterns), order=order))
    cut = [measurement.at_least for measurement in found]
    if objective != "mean" or loss in METERS:  # whether a mean share of items is certain to be large, hangs on the draw
        assert any(cut) is (objective != "mean" or loss in ("kl", "reconstruction"))
    for one, other in zip(found, exact, strict=True):
        if one.at_least:
            assert bound < one.value <= other.value
            assert set(one.losses) < set(other.losses)
            assert all(one.losses[group] == other.losses[group] for group in one.losses)
        else:
            assert one == other
    again = list(bounded(patterns, order=order))
    assert again == exact  # what was finished of the cut ones is kept, the rest is measured now


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "set"
    small_set().save(folder)
    return folder


@pytest.mark.parametrize(
    ("strategy", "evaluations", "seed"),
    [("greedy", 30, 0), ("greedy", 90, 0), ("swap", 24, 10), ("swap", 70, 1), ("swap", 110, 2)],
)
def test_bounds_change_neither_what_is_asked_nor_what_is_answered(strategy, evaluations, seed, calibration, tmp_path):
    """Stopped on the way too, where greedy completes from a ranking and swap from a first look."""
    found = {}
    for bounds in (True, False):
        options = {"max_tokens": 32, "min_group_tokens": 20, "device": "cpu", "dtype": "float32", "deploy": "any"}
        options |= {"strategy": strategy, "evaluations": evaluations, "seed": seed, "remove": 0.15, "bounds": bounds}
        out = tmp_path / str(bounds)
        result = search(model_dir(), calibration, out, **options)
        trials = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()[1:]]
        asked = list(dict.fromkeys((trial["round"], *trial["levels"], trial["fidelity"]) for trial in trials))
        answer = (result.pattern.removed, result.account.finalists, result.pattern.claim)
        found[bounds] = (asked, answer, sum(trial["tokens"] for trial in trials))
        assert bounds or not any(trial.get("at_least") for trial in trials)
    assert {frozenset(asked) for asked, _, _ in found.values()} == {frozenset(found[False][0])}
    assert found[True][1] == found[False][1]
    assert found[True][2] < found[False][2] or evaluations < 64  # completing measures them after all


def test_a_model_is_whole_again_where_a_measurement_ends_in_the_middle(tiny_folder):
    evaluator = evaluators(tiny_folder("llama"), "subblock", "nll")()
    before = [(name, id(module)) for name, module in evaluator.loaded.model.named_modules()]

    def stop():
        raise InterruptedError

    with evaluator.ticking(stop), pytest.raises(InterruptedError):
        evaluator.losses(drawn(evaluator.space), PASSAGES)
    assert [(name, id(module)) for name, module in evaluator.loaded.model.named_modules()] == before


def test_the_head_is_run_where_something_is_predicted_and_no_more(tiny_folder):
    """No logits of padding or of last tokens, and never those of a whole sample at once."""
    evaluator = evaluators(tiny_folder("llama"), "subblock", "nll")()
    seen = []
    real = LayerStack.logits

    class Watched(LayerStack):
        def logits(self, stream, words):
            seen.append(len(stream))
            return real(self, stream, words)

    evaluator._stack = Watched(evaluator.loaded.model, evaluator.loaded.family)
    evaluator.dense(PASSAGES)
    assert sum(seen) == PASSAGES.total
    assert max(seen) < PASSAGES.total


def test_a_model_whose_layers_lie_in_several_places(tiny_folder, tmp_path):
    """As ``device_map`` leaves it: weights are where accelerate put them, here on the disk, and come when called."""
    accelerate = pytest.importorskip("accelerate")
    made = evaluators(tiny_folder("llama"), "subblock", "kl")
    evaluator = made()
    patterns = drawn(evaluator.space)
    expected = evaluator.losses(patterns, PASSAGES)
    model = evaluator.loaded.model
    places = dict.fromkeys(("model.embed_tokens", "model.rotary_emb", "model.norm", "lm_head"), "cpu")
    places |= {f"model.layers.{i}": "disk" if i % 2 else "cpu" for i in range(4)}
    accelerate.dispatch_model(model, places, main_device="cpu", offload_dir=str(tmp_path), force_hooks=True)
    assert model.model.layers[1].mlp.up_proj.weight.is_meta
    for one, other in zip(made().losses(patterns, PASSAGES), expected, strict=True):
        assert np.array_equal(one.loss, other.loss)
    assert model.model.layers[1].mlp.up_proj.weight.is_meta


@pytest.mark.parametrize("loss", METERS)
@pytest.mark.parametrize("name", TINY)
def test_slices_of_the_vocabulary_give_what_the_whole_gives(name, loss, tiny_folder, monkeypatch):
    """Whatever a family does behind its head, such as a soft cap, a bias, or another shape."""
    evaluator = evaluators(tiny_folder(name), "subblock", loss)()
    patterns, found, counts = drawn(evaluator.space, 2), {}, {}
    for logits in (1 << 23, 1 << 14):
        monkeypatch.setitem(walk.LOGIT_BYTES, "cpu", logits)
        counts[logits] = len(evaluator._stack.slices(logits // (4 * 40)))
        found[logits] = evaluator.losses(patterns, PASSAGES)
    assert list(counts.values()) == [1, 41]
    for whole, sliced in zip(*found.values(), strict=True):
        assert sliced.loss / PASSAGES.scored == pytest.approx(whole.loss / PASSAGES.scored, abs=1e-5, rel=REL[loss])
