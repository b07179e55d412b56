"""The table of times: what it prices, what it refuses, and that it comes back as it was written."""

from itertools import pairwise

import numpy as np
import pytest
from timed import ATTN, FRAME, MLP, OUTSIDE, table_by_hand

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.removal.space import pattern_space
from evop.timing.table import LatencyTable
from evop.timing.workload import Workload
from patterns import STRATEGIES, Budget, Pattern, PatternError, make_strategy

NS = 1000 * 1.1
"""Nanoseconds of the request for each microsecond of a prefill: ten decoded tokens take a tenth of it."""

NOISY = {0: 100.0, 8: 110.0, 16: 70.0, 24: 80.0, 32: 20.0, 40: -5.0, 48: 0.0}


@pytest.fixture
def llama(tiny_folder):
    return Checkpoint.find(tiny_folder("llama"))


def test_whole_blocks_are_priced_with_their_time(llama):
    space = table_by_hand(llama).timed(pattern_space(llama, "subblock", "any", ()))
    assert [part.removed[1].latency for part in space.parts[:2]] == [ATTN * NS, MLP * NS]
    assert space.blocks.latency == 4 * (ATTN + MLP + FRAME) * NS
    assert space.model.latency == space.blocks.latency + OUTSIDE * NS
    reached = space.reached(Pattern((1,) + (0,) * 7))
    assert reached.latency == pytest.approx(ATTN / (4 * (ATTN + MLP + FRAME) + OUTSIDE))


def test_under_stock_and_of_whole_layers_the_frame_leaves_too(llama):
    table = table_by_hand(llama)
    stock = table.timed(pattern_space(llama, "subblock", "stock", ()))
    layers = table.timed(pattern_space(llama, "layer"))
    assert sum(part.removed[1].latency for part in stock.parts) == stock.blocks.latency
    assert sum(part.removed[1].latency for part in layers.parts) == layers.blocks.latency


def test_a_frame_that_costs_less_than_nothing_keeps_ladders_rising(llama):
    table = table_by_hand(llama, {"attn": {0: ATTN, 1: 1.0, 2: 0.0}, "mlp": NOISY}, frame=-50.0)
    space = table.timed(pattern_space(llama, "mixed", "stock", width_step=8))
    for part in space.parts:
        assert all(a.latency <= b.latency for a, b in pairwise(part.removed))


def test_noise_never_makes_a_level_give_time_back(llama):
    space = table_by_hand(llama, {"mlp": NOISY}).timed(pattern_space(llama, "channel", "any", (), width_step=8))
    found = [cost.latency / NS for cost in space.parts[0].removed]
    assert found == pytest.approx([0, 0, 30, 30, 85, 105, 105])
    assert all(a <= b for a, b in pairwise(found))


def test_a_space_without_times_is_what_it_was_and_two_tables_are_two_spaces(llama):
    space = pattern_space(llama, "subblock", "any", ())
    one, other = table_by_hand(llama), table_by_hand(llama, device="another")
    fingerprints = {space.fingerprint, one.timed(space).fingerprint, other.timed(space).fingerprint}
    assert len(fingerprints) == 3
    assert one.timed(space).fingerprint == table_by_hand(llama).timed(space).fingerprint


def test_a_budget_of_time_needs_times(llama):
    with pytest.raises(PatternError, match=r"nothing is known of the latency of these blocks; measure a table"):
        Budget(pattern_space(llama, "subblock", "any", ()), 0.25, "latency")


def test_a_table_comes_back_as_it_was_written(llama, tmp_path):
    table = table_by_hand(llama, {"mlp": NOISY})
    table.write(tmp_path / "latency.json")
    found = LatencyTable.read(tmp_path / "latency.json")
    assert found.fingerprint == table.fingerprint
    assert found.blocks == table.blocks


def test_tables_of_other_models_levels_or_workloads_are_refused(llama, tiny_folder, tmp_path):
    table, place = table_by_hand(llama), tmp_path / "latency.json"
    subblock, channel = (pattern_space(llama, grain, "any", ()) for grain in ("subblock", "channel"))
    table.refuse_another(llama, subblock, place)
    table.refuse_another_workload(None, 64, 10, place)
    with pytest.raises(EvopError, match=r"has no time for layers\.0\.mlp with 4 units gone, only for 0, 48"):
        table.refuse_another(llama, channel, place)
    with pytest.raises(EvopError, match="was measured with --latency-context 64, asked for is 32"):
        table.refuse_another_workload(None, 32, None, place)
    with pytest.raises(EvopError, match=r"latency\.json holds times of .*llama"):
        table.refuse_another(Checkpoint.find(tiny_folder("qwen3")), subblock, place)


def test_a_workload_fits_the_model(llama):
    assert Workload.of(llama.resolved) == Workload(1, 192, 64)
    assert Workload.of(llama.resolved, 2, 16, 4) == Workload(2, 16, 4)
    assert Workload.of(llama.resolved, context=240) == Workload(1, 240, 4)
    with pytest.raises(EvopError, match=r"--latency-context 250 and --latency-decode 64 take 314 tokens"):
        Workload.of(llama.resolved, context=250, decode=64)


FREE_MLP = {"attn": {0: 300.0, 1: 150.0, 2: 0.0}, "mlp": dict.fromkeys((0, 8, 16, 24, 32, 40, 48), 0.0)}
PLATEAUS = {
    "attn": {0: 100.0, 1: 100.0, 2: 0.0},
    "mlp": {0: 90.0, 8: 90.0, 16: 50.0, 24: 50.0, 32: 50.0, 40: 0.0, 48: 0.0},
}


@pytest.mark.parametrize("times", [FREE_MLP, PLATEAUS], ids=["free MLPs", "plateaus"])
@pytest.mark.parametrize(("grain", "deploy", "remove"), [("mixed", "any", 0.3), ("subblock", "any", 0.5)])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_ends_where_levels_cost_nothing(tiny_folder, strategy, grain, deploy, remove, times):
    """Levels that save no time are put back, and loops that wait for a cost to change still end."""
    checkpoint = Checkpoint.find(tiny_folder("llama"))
    step = {"width_step": 8} if grain == "mixed" else {}
    space = table_by_hand(checkpoint, times, frame=0.0).timed(pattern_space(checkpoint, grain, deploy, (), **step))
    budget = Budget(space, remove, "latency")
    kinds = [part.kind for part in space.parts]
    asked = _asked(strategy, budget)
    met = [pattern for pattern in asked if budget.met(pattern)]
    assert met
    if times is FREE_MLP:
        assert all(level == 0 for p in met for kind, level in zip(kinds, p.levels, strict=True) if kind == "mlp")


def _asked(name, budget):
    """What a strategy asks for in some rounds; a smaller sum of levels counts as better."""
    strategy, found = make_strategy(name, budget, 0), []
    for _ in range(12):
        asked = strategy.ask()
        if not asked:
            break
        found += asked
        strategy.tell({pattern: float(sum(pattern.levels)) for pattern in asked})
    return found


def test_moves_and_repairs_end_on_plateaus_under_stock(llama):
    times = {"mlp": PLATEAUS["mlp"]}
    space = table_by_hand(llama, times, frame=0.0).timed(pattern_space(llama, "channel", "stock", (), width_step=8))
    budget, rng = Budget(space, 0.1, "latency"), np.random.default_rng(0)
    for pattern in budget.patterns():
        assert budget.met(pattern)
        assert budget.met(budget.move(pattern, rng))
        assert budget.met(budget.repair(pattern, rng))
    assert budget.draw(rng) == Pattern((2,) * 4)
