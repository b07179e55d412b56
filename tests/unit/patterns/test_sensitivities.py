"""What parts cost alone: the removals that tell it, and what is made of their values."""

import numpy as np
import pytest
from toys import SPACES, subblock_space

from patterns import Budget
from patterns.strategies.sensitivities import LEAST, UNKNOWN, by_effects, effects, gone, preferences, probes, shares


@pytest.mark.parametrize("space", SPACES)
def test_probes_tell_all_that_removals_could_and_no_more(space):
    space = SPACES[space].space
    asked = probes(space)
    rows = gone(space, asked)
    assert np.linalg.matrix_rank(rows) == len(asked)
    if all(space.legal(space.dense.with_level(i, space.parts[i].top)) for i in space.free):
        assert len(asked) == len(space.free)
    else:
        every = gone(space, list(space.removals(space.dense)))
        assert np.linalg.matrix_rank(np.vstack([rows, every])) == len(asked)


def test_where_pairs_leave_the_costs_of_their_parts_nearly_add_up_to_the_pairs():
    space = subblock_space(12, "stock")
    rng = np.random.default_rng(0)
    cost = rng.gamma(1.0, 0.1, len(space.parts)) + 0.01
    asked = probes(space)
    assert len(asked) == 23
    values = gone(space, asked) @ cost
    estimated = effects(space, dict(zip(asked, values, strict=True)))
    assert np.corrcoef(gone(space, asked) @ estimated, values)[0, 1] > 0.95
    others = [Budget(space, 0.25).draw(rng) for _ in range(100)]
    truth, told = gone(space, others) @ cost, gone(space, others) @ estimated
    assert np.corrcoef(truth, told)[0, 1] > 0.9


def test_a_part_gone_alone_costs_its_value_one_that_failed_most_and_none_is_free():
    space = subblock_space(2)
    first, second, third, _ = asked = probes(space)
    costs = effects(space, {first: 0.2, second: 0.4, third: -1.0})
    assert costs[:2] == pytest.approx([0.2, 0.4])
    assert costs[2] == pytest.approx(LEAST * 0.4)
    assert costs[3] == pytest.approx(UNKNOWN * 0.4)
    failed = effects(space, dict(zip(asked, [0.2, 0.4, np.inf, 0.3], strict=True)))
    assert failed.argmax() == 2
    assert (effects(space, {}) == 1).all()
    assert np.isfinite(effects(space, dict.fromkeys(asked, np.inf))).all()


@pytest.mark.parametrize("space", SPACES)
def test_what_costs_least_leaves(space):
    budget = SPACES[space]
    cost = np.random.default_rng(0).gamma(1.0, 0.1, len(budget.space.parts)) + 0.01
    total = {p: float(gone(budget.space, [p])[0] @ cost) for p in (by_effects(budget, cost),)}
    ((chosen, least),) = total.items()
    assert budget.met(chosen)
    assert budget.met(budget.decode(preferences(budget, cost)))
    drawn = [budget.draw(np.random.default_rng(seed)) for seed in range(50)]
    assert least <= np.median(gone(budget.space, drawn) @ cost)


def test_shares_ascend_from_nothing_to_everything():
    for budget in SPACES.values():
        for part in budget.space.parts:
            share = shares(part)
            assert share[0] == 0
            assert share[-1] == 1
            assert (np.diff(share) > 0).all()
