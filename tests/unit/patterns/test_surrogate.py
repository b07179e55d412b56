"""The guess of what was not measured."""

import numpy as np
import pytest
from test_strategies import SPACES
from toys import Landscape, layer_space, subblock_space

from patterns import Budget, Pattern
from patterns.strategies.surrogate import MOST, Surrogate, shares


def drawn(budget, count, seed=0):
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(budget.draw(rng) for _ in range(count)))


@pytest.mark.parametrize("space", SPACES)
def test_it_knows_what_it_was_told_and_is_unsure_of_the_rest(space):
    budget = SPACES[space]
    land, surrogate = Landscape(budget.space), Surrogate(budget.space)
    known, *_ = told = drawn(budget, 30)
    assert surrogate.learn({(pattern, 1.0): land.value(pattern) for pattern in told})
    mean, spread = surrogate.guess(told)
    assert np.exp(mean) == pytest.approx([land.value(p) for p in told], rel=0.1)
    far = Pattern(tuple(part.top - level for part, level in zip(budget.space.parts, known.levels, strict=True)))
    assert surrogate.guess([far])[1][0] > 2 * spread[0]


def test_it_ranks_patterns_it_never_saw():
    budget = Budget(subblock_space(12), 0.25)
    land, surrogate = Landscape(budget.space), Surrogate(budget.space)
    surrogate.learn({(pattern, 1.0): land.value(pattern) for pattern in drawn(budget, 80)})
    others = drawn(budget, 200, seed=1)
    guessed, values = surrogate.guess(others)[0], np.array([land.value(p) for p in others])
    assert np.corrcoef(guessed.argsort().argsort(), values.argsort().argsort())[0, 1] > 0.7


def test_looks_teach_what_is_better_than_what_whatever_they_are_shifted_by():
    """Looks that see twice the value rank the rest; the level comes from the few that were measured in full."""
    budget = Budget(layer_space(10), 0.3)
    land, surrogate = Landscape(budget.space), Surrogate(budget.space)
    told = drawn(budget, 60)
    looks = {(pattern, 0.25): 2 * land.value(pattern) for pattern in told}
    surrogate.learn({**looks, **{(pattern, 1.0): land.value(pattern) for pattern in told[:6]}})
    others = [pattern for pattern in budget.patterns() if pattern not in told]
    guessed, values = np.exp(surrogate.guess(others)[0]), np.array([land.value(p) for p in others])
    assert np.corrcoef(guessed, values)[0, 1] > 0.8
    assert np.median(guessed / values) == pytest.approx(1, abs=0.15)


def test_failed_measurements_teach_nothing():
    budget = SPACES["layer any"]
    land, surrogate, plain = Landscape(budget.space), Surrogate(budget.space), Surrogate(budget.space)
    told = drawn(budget, 20)
    assert not surrogate.learn({(told[0], 1.0): np.inf})
    values = {(pattern, 1.0): land.value(pattern) for pattern in told[1:]}
    assert surrogate.learn({(told[0], 1.0): np.inf, **values})
    assert plain.learn(values)
    assert (surrogate.guess(told)[0] == plain.guess(told)[0]).all()


@pytest.mark.parametrize("shift", [0.0, -1.0])
def test_values_may_be_below_zero_and_all_alike(shift):
    budget = SPACES["layer any"]
    surrogate, told = Surrogate(budget.space), drawn(budget, 20)
    surrogate.learn({(pattern, 1.0): shift for pattern in told})
    assert np.isfinite(surrogate.guess(told)).all()
    surrogate.learn({(pattern, 1.0): n + shift for n, pattern in enumerate(told)})
    assert (np.diff(surrogate.guess(told)[0]) > 0).all()


def test_of_many_measurements_the_best_and_the_newest_are_learnt_from():
    budget = Budget(subblock_space(12), 0.25)
    surrogate, told = Surrogate(budget.space), drawn(budget, 3 * MOST)
    rng = np.random.default_rng(0)
    values = dict(zip(((p, 1.0) for p in told), rng.random(len(told)) + 1, strict=True))
    surrogate.learn(values)
    _, spread = surrogate.guess(told)
    best = np.argsort(list(values.values()))[: MOST // 2]
    assert len(surrogate._x) <= MOST
    assert max(spread[best].max(), spread[-MOST // 2 :].max()) < np.median(spread)


def test_shares_ascend_from_nothing_to_everything():
    for budget in SPACES.values():
        for part in budget.space.parts:
            share = shares(part)
            assert share[0] == 0
            assert share[-1] == 1
            assert (np.diff(share) > 0).all()
