"""CMA-ES on what was measured: its covariance adapts, and that pays where parts act together strongly."""

import numpy as np
import pytest
from toys import SPACES, Exact, ladder_space, subblock_space

from patterns import Budget, make_strategy
from patterns.strategies.cma import CMASettings
from patterns.strategies.sensitivities import by_effects, effects, preferences

BUDGET = Budget(ladder_space(8, "channel", widths=100, skew=1.0), 0.4)
PARTS = len(BUDGET.space.parts)


def ridge(pattern, rng_seed):
    """A loss that hardly grows along some directions of the widths, and steeply along others, none of them an axis."""
    rng = np.random.default_rng(rng_seed)
    turned, _ = np.linalg.qr(rng.standard_normal((PARTS, PARTS)))
    best = rng.uniform(0.2, 0.6, PARTS)
    gone = np.array(pattern.levels) / 101
    along = turned @ (gone - best)
    return float(np.sum(10 ** np.linspace(0, 2.5, PARTS) * along**2))


def best_after(seed, generations, adapt):
    """Return the best value of a search for some generations, and the condition number of its covariance."""
    settings = CMASettings(sensitivities=False, sigma=1.5, adapt=adapt, patience=10**6)
    strategy = make_strategy("cma", BUDGET, seed, settings=settings)
    best = np.inf
    for _ in range(generations):
        values = {pattern: ridge(pattern, seed) for pattern in strategy.ask()}
        best = min(best, *values.values())
        strategy.tell(values)
    return best, strategy._engine.condition_number


def test_where_parts_act_together_the_covariance_adapts_and_beats_steps_of_one_size():
    adapted, frozen = ([best_after(seed, 60, adapt) for seed in range(6)] for adapt in (True, False))
    assert all(condition == pytest.approx(1, abs=0.01) for _, condition in frozen)
    assert min(condition for _, condition in adapted) > 10
    wins = [ours < others for (ours, _), (others, _) in zip(adapted, frozen, strict=True)]
    assert sum(wins) >= 5


@pytest.mark.parametrize("space", ["subblock any", "subblock stock", "mixed any"])
def test_the_first_mean_is_what_the_sensitivities_choose(space):
    """And what leaves alone at little cost leaves: the engine begins where ``oneshot`` ends."""
    budget = SPACES[space]
    land, strategy = Exact(budget.space), make_strategy("cma", budget, 0)
    values = {pattern: land.value(pattern) for pattern in strategy.ask()}
    strategy.tell(values)
    cost = effects(budget.space, values)
    middle = budget.decode(preferences(budget, cost))
    assert strategy._decode(strategy._engine.mean) == middle
    if space == "subblock any":
        assert middle == by_effects(budget, cost)
    assert strategy.fidelity == 1.0
    assert all(budget.met(pattern) for pattern in strategy.ask())


def test_the_engine_lives_on_and_starts_anew_when_nothing_better_comes():
    budget = SPACES["subblock any"]
    strategy = make_strategy("cma", budget, 0, settings=CMASettings(sensitivities=False, patience=3))
    first, seen = strategy._engine, []
    for _ in range(12):
        strategy.tell(dict.fromkeys(strategy.ask(), 1.0))
        seen.append(strategy._engine is first)
    assert seen[:3] == [True] * 3
    assert not seen[-1]


def test_of_equal_patterns_the_one_nearer_to_the_middle_ranks_first():
    budget = SPACES["subblock any"]
    strategy = make_strategy("cma", budget, 0, settings=CMASettings(sensitivities=False))
    values = dict.fromkeys(strategy.ask(), 1.0)
    far = [
        np.linalg.norm(x - strategy._middles(pattern))
        for x, pattern in zip(strategy._offspring, strategy._asked, strict=True)
    ]
    assert list(np.argsort(strategy._ranks(values))) == list(np.argsort(far))


def test_lq_cma_measures_fewer_than_it_ranks_and_lets_failures_pass():
    budget = Budget(subblock_space(12), 0.25)
    land, strategy, measured = Exact(budget.space), make_strategy("lq-cma", budget, 0), set()
    generations = 0
    for n in range(120):
        asked = strategy.ask()
        measured |= set(asked)
        before = strategy._engine.countiter if n else 0
        strategy.tell({pattern: np.inf if n == 40 else land.value(pattern) for pattern in asked})
        generations += strategy._engine.countiter > before
    assert generations > 5
    assert len(measured - set(land.space.removals(land.space.dense))) < generations * strategy._engine.popsize
