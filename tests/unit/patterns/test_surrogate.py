"""The surrogate: what it measures at low fidelity, what in full, and how soon it is there."""

import numpy as np
import pytest
from toys import FIDELITIES, SPACES, Exact, Landscape, fidelity, layer_space, run, subblock_space

from patterns import Budget, Stop, TrialLog, finalists, make_strategy, search
from patterns.strategies.sensitivities import by_effects, effects, gone

THREE = (fidelity(1, 24), fidelity(4, 100), fidelity(16, 400))


def test_it_measures_many_at_low_fidelity_and_few_in_full(tmp_path):
    budget = Budget(subblock_space(12), 0.25)
    log = TrialLog.create(tmp_path / "log", {})
    search(make_strategy("surrogate", budget, 0), budget, log, Exact(budget.space), Stop(100), fidelities=THREE)
    rounds: dict = {}
    for trial in log.trials:
        rounds.setdefault(trial.round, []).append(trial)
    assert [trial.pattern for trial in rounds[0]] == list(budget.space.removals(budget.space.dense))
    assert all(trial.met for trial in log.trials[24:])
    screened: set = set()
    for number in range(1, 9):
        assert {trial.fidelity for trial in rounds[number]} == {16 if number % 2 else 4}
        assert len(rounds[number]) == (3 if number % 2 else 8)
        if number % 2 and number > 1:
            assert {trial.pattern for trial in rounds[number]} <= screened
        screened |= {trial.pattern for trial in rounds[number]}


@pytest.mark.parametrize("layers", [10, 12])
def test_it_finds_the_optimum_within_a_quarter_of_the_space(tmp_path, layers):
    budget = Budget(layer_space(layers), 0.3)
    every = list(budget.patterns())
    reached = 0
    for seed in range(5):
        land = Exact(budget.space, seed)
        log = TrialLog.create(tmp_path / str(seed), {})
        search(
            make_strategy("surrogate", budget, seed), budget, log, land, Stop(len(every) // 4), fidelities=FIDELITIES
        )
        reached += finalists(log.trials, 4)[0].value == min(map(land.value, every))
    assert reached >= 4


def test_where_there_is_one_fidelity_no_pattern_is_measured_twice(tmp_path):
    budget = Budget(subblock_space(12), 0.25)
    log, land = TrialLog.create(tmp_path / "log", {}), Exact(budget.space)
    search(make_strategy("surrogate", budget, 0), budget, log, land, Stop(80), fidelities=THREE[-1:])
    assert len(land.asked) == len(set(land.asked)) == 80
    assert finalists(log.trials, 16)


@pytest.mark.parametrize("space", ["subblock any", "mixed any", "mixed stock"])
def test_patterns_that_failed_at_low_fidelity_are_not_measured_in_full(space):
    budget = SPACES[space]
    land, strategy, failed = Landscape(budget.space), make_strategy("surrogate", budget, 0), set()
    for _ in range(12):
        asked = strategy.ask()
        if strategy.fidelity == 1.0:
            assert not failed & set(asked)
        values = {pattern: np.inf if n % 2 else land.value(pattern) for n, pattern in enumerate(asked)}
        failed |= {pattern for pattern, value in values.items() if not np.isfinite(value)}
        strategy.tell(values)


@pytest.mark.parametrize("evaluations", [5, 16, 18])
def test_stopped_before_anything_was_measured_in_full_it_answers_from_low_fidelity(tmp_path, evaluations):
    """By the best pattern measured; before that, what costs least alone leaves first."""
    budget = SPACES["subblock any"]
    log, *_, strategy = run(tmp_path, "surrogate", budget, evaluations=evaluations)
    values = {trial.pattern: trial.value for trial in log.trials}
    answer, *others = strategy.completions(values)
    assert all(budget.met(pattern) for pattern in (answer, *others))
    met = [pattern for pattern in values if budget.met(pattern)]
    if met:
        assert answer == min(met, key=values.get)
    else:
        assert answer.levels[min(values, key=values.get).levels.index(1)] == 1
        assert others
        summed = gone(budget.space, others) @ effects(budget.space, values)
        assert list(summed) == sorted(summed)


@pytest.mark.parametrize("space", SPACES)
def test_the_first_patterns_measured_in_full_are_what_the_sensitivities_choose(space):
    """The answer of ``oneshot``, and what is better still where costs only add up."""
    budget = SPACES[space]
    land, strategy = Exact(budget.space), make_strategy("surrogate", budget, 0)
    values = {pattern: land.value(pattern) for pattern in strategy.ask()}
    strategy.tell(values)
    cost = effects(budget.space, values)
    first, *others = strategy.ask()
    assert strategy.fidelity == 1.0
    assert first == by_effects(budget, cost)
    assert len(others) <= 2
    assert all(budget.met(pattern) for pattern in others)
    assert min(gone(budget.space, strategy.ask()) @ cost) <= (gone(budget.space, [first]) @ cost)[0] + 1e-9
