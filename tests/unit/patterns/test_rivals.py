"""What makes swap, oneshot, policy and greedy what they are."""

from dataclasses import replace

import numpy as np
import pytest
from toys import SPACES, TINY, Exact, Landscape, fidelity, ladder_space, layer_space, run, subblock_space

from patterns import Budget, Pattern, PatternSpace, Stop, TrialLog, finalists, make_strategy, search
from patterns.strategies.swap import Swap, SwapSettings

THREE = (fidelity(1, 24), fidelity(4, 100), fidelity(16, 400))


def scored(space: PatternSpace, scores) -> PatternSpace:
    """Return the space with scores, one per part and level."""
    parts = tuple(replace(part, scores=tuple(of_part)) for part, of_part in zip(space.parts, scores, strict=True))
    return replace(space, parts=parts)


# -- swap


def test_swap_measures_many_at_low_fidelity_and_few_in_full(tmp_path):
    budget = Budget(subblock_space(12), 0.25)
    log = TrialLog.create(tmp_path / "log", {})
    search(make_strategy("swap", budget, 0), budget, log, Exact(budget.space), Stop(300), fidelities=THREE)
    rounds = {}
    for trial in log.trials:
        rounds.setdefault(trial.round, []).append(trial)
    assert len(rounds[0]) > 60
    assert [{t.fidelity for t in rounds[n]} for n in range(4)] == [{1}, {1}, {4}, {16}]
    assert len(rounds[1]) <= 32
    assert len(rounds[2]) == 8
    assert len(rounds[3]) == 3
    start = min(rounds[0], key=lambda t: t.value).pattern
    assert rounds[3][-1].pattern == start


def test_where_there_is_one_fidelity_swap_measures_no_pattern_twice(tmp_path):
    budget = Budget(subblock_space(12), 0.25)
    log, land = TrialLog.create(tmp_path / "log", {}), Exact(budget.space)
    search(make_strategy("swap", budget, 0), budget, log, land, Stop(300), fidelities=THREE[-1:], bounds=False)
    assert len(land.asked) == len(set(land.asked)) == 300
    assert finalists(log.trials, 16)


def test_swap_goes_on_alike_whatever_it_is_told_of_those_that_do_not_survive():
    budget = SPACES["mixed any"]
    land = Landscape(budget.space)
    whole, early = make_strategy("swap", budget, 0), make_strategy("swap", budget, 0)
    for _ in range(40):
        asked = whole.ask()
        assert early.ask() == asked
        values = {pattern: land.value(pattern) for pattern in asked}
        last_survivor = sorted(values.values())[: early.survivors][-1]
        whole.tell(values)
        early.tell({p: value if value <= last_survivor else last_survivor + 1e-6 for p, value in values.items()})


def test_swap_never_loses_its_parent():
    budget = SPACES["mixed any"]
    strategy, land = make_strategy("swap", budget, 0, patience=10**6), Landscape(budget.space)
    best = []
    for _ in range(60):
        asked = strategy.ask()
        full = strategy.fidelity == 1.0
        strategy.tell({pattern: land.value(pattern) for pattern in asked})
        if full:
            best.append(min(map(land.value, asked)))
    assert best == sorted(best, reverse=True)
    assert best[-1] < best[0]


def test_swap_starts_anew_when_its_parent_has_outlived_its_time():
    budget = Budget(layer_space(7), 0.3)
    strategy, land = make_strategy("swap", budget, 0, patience=2), Landscape(budget.space)
    sizes = []
    for _ in range(40):
        asked = strategy.ask()
        sizes.append(len(asked))
        strategy.tell({pattern: land.value(pattern) for pattern in asked})
    assert sizes.count(64) > 2


def test_swap_with_evopress_settings_measures_what_evopress_measures():
    """12 layers, 3 + 3 gone: 64 patterns, then 18 generations of 32 at a sixteenth and 2 with their parent in full."""
    budget = Budget(subblock_space(12, "balanced"), 0.25)
    strategy, land = Swap(budget, 0, settings=SwapSettings.of_evopress(3, 12)), Landscape(budget.space)
    rounds = []
    while asked := strategy.ask():
        rounds.append((strategy.fidelity, len(asked)))
        strategy.tell({pattern: land.value(pattern) for pattern in asked})
    assert rounds == [(1 / 16, 64), *[(1 / 16, 32), (1.0, 3)] * 18]
    assert sum(count for _, count in rounds) == 694
    assert strategy.finishes
    assert budget.met(strategy.completions({})[0])


def test_a_stopped_swap_is_completed_by_the_best_it_measured(tmp_path):
    budget = Budget(subblock_space(12), 0.25)
    for evaluations in (1, 20, 64, 80):
        log, _, _, strategy = run(tmp_path, "swap", budget, evaluations=evaluations, file=str(evaluations))
        assert not finalists(log.trials, 4)
        values = {trial.pattern: trial.value for trial in log.trials}
        (answer,) = strategy.completions(values)
        assert budget.met(answer)
        if evaluations <= 20:
            assert answer == min(values, key=values.__getitem__)


# -- oneshot


def test_scores_are_one_ranking_over_all_parts(tmp_path):
    """The head and channel steps of the smallest scores leave until the budget is met."""
    space = ladder_space(4, "mixed")
    rng = np.random.default_rng(0)
    scores = [np.sort(rng.random(part.top)) for part in space.parts]
    budget = Budget(scored(space, scores), 0.3)
    log, _, reason, _ = run(tmp_path, "oneshot", budget)
    assert reason == "strategy finished"
    (trial,) = log.trials
    assert budget.met(trial.pattern)
    gone = [x for of_part, n in zip(scores, trial.pattern.levels, strict=True) for x in of_part[:n]]
    kept = [x for of_part, n in zip(scores, trial.pattern.levels, strict=True) for x in of_part[n:]]
    # The last to leave may come back where it was not needed; nothing else is out of order.
    assert sorted(gone)[-2] < min(kept)


def test_block_influence_takes_the_least_influential_layers(tmp_path):
    influence = np.array([9.0, 3, 8, 1, 7, 2, 6, 5, 4, 10])
    budget = Budget(scored(layer_space(10), influence[:, None]), 0.3)
    log, *_ = run(tmp_path, "oneshot", budget)
    assert [budget.space.names(t.pattern) for t in log.trials] == [("layers.1", "layers.3", "layers.5")]


def test_without_scores_each_removal_is_measured_alone_and_ranked_by_its_cost(tmp_path):
    budget = SPACES["subblock any"]
    log, _, reason, _ = run(tmp_path, "oneshot", budget)
    assert reason == "strategy finished"
    *probes, answer = log.trials
    assert [t.pattern for t in probes] == list(budget.space.removals(budget.space.dense))
    density = {t.pattern.levels.index(1): t.value / budget.gone(t.pattern) for t in probes}
    order = sorted(density, key=density.__getitem__)
    assert answer.pattern == budget.decode(
        -np.argsort(np.argsort([density[i] for i in range(len(order))])).astype(float)
    )


def test_oneshot_removes_what_costs_least_by_the_parameter():
    """Every MLP loses twice what an attention does, and is three times as large: MLPs leave, and no attention."""
    budget = SPACES["subblock any"]
    strategy = make_strategy("oneshot", budget, 0)
    cost = {"attn": 1.0, "mlp": 2.0}
    kinds = [part.kind for part in budget.space.parts]
    values = [sum(cost[kind] * level for kind, level in zip(kinds, p.levels, strict=True)) for p in strategy.ask()]
    strategy.tell(dict(zip(strategy.ask(), values, strict=True)))
    (answer,) = strategy.ask()
    assert {kind for kind, level in zip(kinds, answer.levels, strict=True) if level} == {"mlp"}


def test_a_ladder_without_scores_is_measured_at_its_last_level(tmp_path):
    budget = SPACES["channel any"]
    log, *_ = run(tmp_path, "oneshot", budget)
    *probes, answer = log.trials
    assert [sorted(t.pattern.levels) for t in probes] == [[0] * 5 + [16]] * 6
    values = [t.value for t in probes]
    # What hurts more to lose keeps more of its channels.
    assert answer.pattern.levels[int(np.argmax(values))] == min(answer.pattern.levels)
    assert answer.pattern.levels[int(np.argmin(values))] == max(answer.pattern.levels)


def test_under_stock_the_smallest_legal_removals_are_measured(tmp_path):
    budget = SPACES["subblock stock"]
    log, *_ = run(tmp_path, "oneshot", budget)
    *probes, answer = log.trials
    assert {t.pattern for t in probes} == set(budget.space.removals(budget.space.dense))
    values = [t.value for t in probes]
    rng = np.random.default_rng(0)
    land = Landscape(budget.space)
    assert len(values) > 8
    assert answer.value < np.median([land.value(budget.draw(rng)) for _ in range(50)])


@pytest.mark.parametrize("evaluations", [1, 6, 12])
def test_a_stopped_oneshot_ranks_what_it_measured(tmp_path, evaluations):
    budget = SPACES["layer any"]
    log, _, _, strategy = run(tmp_path, "oneshot", budget, evaluations=evaluations)
    (answer,) = strategy.completions({trial.pattern: trial.value for trial in log.trials})
    ranked = [t.pattern.levels.index(1) for t in sorted(log.trials[:10], key=lambda trial: trial.value)]
    assert {i for i, level in enumerate(answer.levels) if level} >= set(ranked[:3])


# -- policy


def test_probabilities_keep_to_the_rate_and_follow_the_losses():
    """Where two layers cost nothing and the others much, the two leave."""
    budget = Budget(layer_space(10), 0.2)
    strategy = make_strategy("policy", budget, 0)
    for _ in range(40):
        assert strategy.probabilities.mean() == pytest.approx(strategy.keep_rate)
        strategy.tell({p: float(np.dot(p.levels, [1, 1, 0, 1, 1, 1, 0, 1, 1, 1])) for p in strategy.ask()})
    assert set(np.argsort(strategy.probabilities)[:2]) == {2, 6}
    assert strategy.ask()[-1].levels == (0, 0, 1, 0, 0, 0, 1, 0, 0, 0)


def test_probabilities_begin_at_the_scores_each_kind_apart():
    space = ladder_space(4, "mixed")
    scores = [np.full(part.top, float(part.layer)) for part in space.parts]
    strategy = make_strategy("policy", Budget(scored(space, scores), 0.3), 0)
    for kind in ("attn", "mlp"):
        probabilities = strategy.probabilities[strategy.kinds == kind]
        assert (np.diff(probabilities) >= 0).all()
        assert probabilities[0] < probabilities[-1]
        assert probabilities.mean() == pytest.approx(strategy.keep_rate)


def test_policy_ends_where_there_is_one_pattern(tmp_path):
    log, _, reason, _ = run(tmp_path, "policy", TINY["one pattern of heads"], evaluations=1000)
    assert reason == "nothing new"
    assert len(log.trials) == 1


# -- greedy


@pytest.mark.parametrize("space", ["channel any", "mixed any", "head any"])
def test_greedy_takes_large_steps_down_a_ladder(tmp_path, space):
    budget = SPACES[space]
    log, *_ = run(tmp_path, "greedy", budget, evaluations=10_000)
    assert log.trials[-1].round < 20
    parts = len(budget.space.parts)
    first = [trial for trial in log.trials if trial.round == 0]
    assert len(first) == parts
    for trial in first:
        (i,) = np.flatnonzero(trial.pattern.levels)
        enough = budget.gone(trial.pattern) >= budget.need / 16
        assert enough or trial.pattern.levels[i] == budget.space.parts[i].top
        less = trial.pattern.with_level(i, trial.pattern.levels[i] - 1)
        assert budget.gone(less) < budget.need / 16


@pytest.mark.parametrize("evaluations", [3, 6, 9, 20])
def test_a_stopped_greedy_keeps_what_it_took_from_ladders(tmp_path, evaluations):
    budget = SPACES["channel any"]
    log, _, _, strategy = run(tmp_path, "greedy", budget, evaluations=evaluations)
    (answer,) = strategy.completions({trial.pattern: trial.value for trial in log.trials})
    assert budget.met(answer)
    whole = [t for t in log.trials if t.round < evaluations // 6]
    kept = (
        min((t for t in whole if t.round == whole[-1].round), key=lambda t: t.value).pattern
        if whole
        else Pattern((0,) * 6)
    )
    assert all(a >= b for a, b in zip(answer.levels, kept.levels, strict=True))
    if not whole:
        best = min(log.trials, key=lambda trial: trial.value).pattern
        assert answer.levels[int(np.argmax(best.levels))] >= max(best.levels)
