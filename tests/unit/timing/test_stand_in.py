"""Models with made-up weights: shaped as what prune writes, timed with a cache, and made without a trace."""

import pytest
import torch
from tiny import TINY

from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.loaded import load_model
from evop.removal.cut import Cut
from evop.removal.ranking import Ranking
from evop.removal.space import layer_count, pattern_space
from evop.timing import measure, speed
from evop.timing.measure import measured_table
from evop.timing.speed import measure_speeds
from evop.timing.stand_in import stand_in
from evop.timing.workload import Workload

CPU = torch.device("cpu")
SHORT = Workload(2, 24, 3)


@pytest.fixture(autouse=True)
def once(monkeypatch):
    monkeypatch.setattr(speed, "ROUNDS", (2, 2))


@pytest.mark.parametrize("name", TINY)
def test_a_stand_in_has_the_parameters_the_space_says(name, tiny_folder):
    checkpoint = Checkpoint.find(tiny_folder(name))
    state = torch.random.get_rng_state()
    dense = stand_in(checkpoint, Cut(), CPU, "float32")
    assert dense.num_parameters() == load_model(checkpoint, "cpu", "float32").model.num_parameters()
    for grain in ("layer", "subblock", "head", "channel"):
        try:
            space = pattern_space(checkpoint, grain, "any", ())
        except ValueError:
            continue
        pattern = space.dense.with_level(1, 1).with_level(2, space.parts[2].top)
        pruned = stand_in(checkpoint, Ranking.random(space, 0).cut_of(space, pattern), CPU, "float32")
        assert dense.num_parameters() - pruned.num_parameters() == space.removed(pattern).params
        assert measure_speeds({"pruned": pruned}, SHORT)["pruned"].kv_bytes > 0
    assert torch.equal(state, torch.random.get_rng_state())


def test_speeds_are_told_beside_the_first_model(tiny_folder):
    checkpoint = Checkpoint.find(tiny_folder("llama"))
    models = {"dense": stand_in(checkpoint, Cut(), CPU, "float32")}
    models["pruned"] = stand_in(checkpoint, Cut(frozenset({("attn", 0), ("attn", 3)})), CPU, "float32")
    found = measure_speeds(models, SHORT)
    assert found["dense"].share == (1, 1, 1)
    assert found["pruned"].kv_bytes * 2 == found["dense"].kv_bytes == 4 * 2 * 2 * 2 * 24 * 8 * 4
    assert found["pruned"].share[0] <= found["pruned"].share[1] <= found["pruned"].share[2]
    assert all(one.prefill_tokens_per_second > 0 and one.decode_tokens_per_second > 0 for one in found.values())


@pytest.mark.parametrize("name", ["llama", "gemma3_text", "gpt2", "opt"])
@pytest.mark.parametrize("grain", ["layer", "mixed"])
def test_a_measured_table_has_a_time_for_every_level(name, grain, tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "TABLE_SECONDS", 0.0)
    checkpoint = Checkpoint.find(tiny_folder(name))
    space = pattern_space(checkpoint, grain, "any", ())
    table = measured_table(checkpoint, space, SHORT, "cpu", "float32")
    table.refuse_another(checkpoint, space, tmp_path / "latency.json")
    assert len(table.layer_types) == layer_count(checkpoint)
    channels = family_of(checkpoint.model_type).units(checkpoint.resolved, "mlp")
    assert {row.gone for row in table.blocks if row.kind == "mlp"} >= {0, channels}
    assert (table.dtype, table.batch, table.context, table.decode) == ("float32", 2, 24, 3)
    assert table.timed(space).model.latency >= table.timed(space).blocks.latency
