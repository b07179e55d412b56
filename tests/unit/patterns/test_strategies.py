import numpy as np
import pytest
from toys import EFFORTS, Landscape, layer_space, subblock_space

from patterns import STRATEGIES, Budget, PatternError, Stop, TrialLog, finalists, make_strategy, search

SPACES = {
    "layer any": Budget(layer_space(10), 0.3),
    "subblock any": Budget(subblock_space(8), 0.25),
    "subblock stock": Budget(subblock_space(8, "stock", ("layers.0.attn",)), 0.25),
}


def run(tmp_path, name, budget, seed=0, evaluations=60, landscape=None, file="trials.jsonl"):
    log = TrialLog.create(tmp_path / file, {"seed": seed})
    land = landscape or Landscape(budget.space)
    strategy = make_strategy(name, budget, seed)
    reason = search(strategy, budget, log, land, Stop(evaluations), efforts=EFFORTS)
    return log, land, reason, strategy


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("space", SPACES)
def test_every_strategy_asks_legal_patterns_and_finds_one_that_meets_the_budget(tmp_path, name, space):
    budget = SPACES[space]
    log, land, reason, _ = run(tmp_path, name, budget, evaluations=100)  # more than a start and a generation of swap
    assert reason in ("evaluations", "strategy finished", "nothing new")
    assert all(budget.space.legal(trial.pattern) for trial in log.trials)
    assert all(trial.met == budget.met(trial.pattern) for trial in log.trials)
    assert len({(trial.pattern, trial.effort) for trial in log.trials}) == len(land.asked) == len(log.trials)
    assert len(set(land.asked)) <= 100
    best = finalists(log.trials, 4)
    assert 1 <= len(best) <= 8
    assert budget.met(best[0].pattern)
    assert best[0].value == min(t.value for t in log.trials if t.met and t.effort == 4)


@pytest.mark.parametrize("name", ["cma", "random"])
@pytest.mark.parametrize("space", SPACES)
def test_what_they_ask_always_meets_the_budget(tmp_path, name, space):
    log, *_ = run(tmp_path, name, SPACES[space])
    assert all(trial.met for trial in log.trials)


@pytest.mark.parametrize("name", STRATEGIES)
def test_failed_measurements_do_not_stop_a_search(tmp_path, name):
    """Every third pattern has no loss; the search goes on and never answers with one of those."""
    from patterns import Measurement

    budget = SPACES["subblock any"]
    land = Landscape(budget.space)

    def measure(patterns, effort):
        for i, (pattern, found) in enumerate(zip(patterns, land(patterns, effort), strict=True)):
            bad = sum(pattern.levels[i] * i for i in range(len(pattern.levels))) % 3 == 0
            yield Measurement(float("inf"), {}, 100, "loss is not finite in toy/0") if bad else found

    log = TrialLog.create(tmp_path / "t.jsonl", {})
    search(make_strategy(name, budget, 0), budget, log, measure, Stop(60), efforts=EFFORTS)
    assert any(trial.measurement.failed for trial in log.trials)
    assert all(np.isfinite(trial.value) for trial in finalists(log.trials, 4))
    assert [t.value for t in TrialLog.open(tmp_path / "t.jsonl").trials] == [t.value for t in log.trials]


def test_cma_finds_a_better_pattern_than_random_at_equal_evaluations(tmp_path):
    budget = Budget(subblock_space(12, "stock", ("layers.0.attn",)), 0.25)
    gaps = []
    for seed in range(5):
        land = Landscape(budget.space, seed)
        cma, *_ = run(tmp_path, "cma", budget, seed, 150, land, f"c{seed}")
        random, *_ = run(tmp_path, "random", budget, seed, 150, land, f"r{seed}")
        gaps.append(finalists(random.trials, 4)[0].value - finalists(cma.trials, 4)[0].value)
    assert np.median(gaps) > 0


def test_cma_goes_on_until_a_small_space_is_exhausted(tmp_path):
    budget = Budget(layer_space(7), 0.3)
    every = set(budget.patterns())
    log, land, reason, _ = run(tmp_path, "cma", budget, evaluations=10_000)
    assert reason == "nothing new"
    assert set(land.asked) <= every
    assert finalists(log.trials, 4)[0].value == min(land.value(p) for p in every)


def test_greedy_takes_the_best_removal_of_every_step(tmp_path):
    """Against a plain greedy written here."""
    budget = SPACES["layer any"]
    log, land, reason, _ = run(tmp_path, "greedy", budget, evaluations=1000)
    kept = budget.space.dense
    while not budget.met(kept):
        kept = min(budget.space.removals(kept), key=land.value)
    assert reason == "strategy finished"
    assert finalists(log.trials, 4)[0].pattern == kept
    assert len(log.trials) == 10 + 9 + 8


@pytest.mark.parametrize("evaluations", [1, 5, 16, 17, 20])
def test_a_stopped_greedy_is_completed_from_its_ranking(tmp_path, evaluations):
    budget = SPACES["subblock any"]
    log, _, _, strategy = run(tmp_path, "greedy", budget, evaluations=evaluations)
    assert not finalists(log.trials, 4)
    values = {trial.pattern: trial.value for trial in log.trials}
    completed = strategy.completion(values)
    assert budget.met(completed)
    gone = {i for i, level in enumerate(completed.levels) if level}
    ranked = [t.pattern.levels.index(1) for t in sorted(log.trials[:16], key=lambda trial: trial.value)]
    assert ranked[0] in gone
    if len(ranked) > 5:
        # A quarter leaves: what the first step ranked best goes before what it ranked last.
        assert ranked[-1] not in gone


def test_unknown_strategies_are_refused():
    with pytest.raises(PatternError, match="strategy 'luck' is unknown; choose one of cma, exhaustive, genetic"):
        make_strategy("luck", SPACES["layer any"], 0)
