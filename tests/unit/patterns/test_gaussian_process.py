"""The prediction of what was not measured."""

import numpy as np
import pytest
from toys import SPACES, Landscape, layer_space, subblock_space

from patterns import Budget, Pattern
from patterns.strategies.gaussian_process import GaussianProcess, GaussianProcessSettings
from patterns.strategies.sensitivities import effects, gone, probes


def drawn(budget, count, seed=0):
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(budget.draw(rng) for _ in range(count)))


@pytest.mark.parametrize("space", SPACES)
def test_it_knows_what_it_was_told_and_is_unsure_of_the_rest(space):
    budget = SPACES[space]
    land, process = Landscape(budget.space), GaussianProcess(budget.space)
    known, *_ = told = drawn(budget, 30)
    assert process.fit({(pattern, 1.0): land.value(pattern) for pattern in told})
    mean, spread = process.predict(told)
    assert np.exp(mean) == pytest.approx([land.value(p) for p in told], rel=0.1)
    far = Pattern(tuple(part.top - level for part, level in zip(budget.space.parts, known.levels, strict=True)))
    assert process.predict([far])[1][0] > 2 * spread[0]


def test_it_ranks_patterns_it_never_saw():
    budget = Budget(subblock_space(12), 0.25)
    land, process = Landscape(budget.space), GaussianProcess(budget.space)
    process.fit({(pattern, 1.0): land.value(pattern) for pattern in drawn(budget, 80)})
    others = drawn(budget, 200, seed=1)
    predicted, values = process.predict(others)[0], np.array([land.value(p) for p in others])
    assert np.corrcoef(predicted.argsort().argsort(), values.argsort().argsort())[0, 1] > 0.7


def test_low_fidelity_tells_what_is_better_than_what_whatever_it_is_shifted_by():
    """A low fidelity that sees twice the value ranks the rest; the few measured in full say how large values are."""
    budget = Budget(layer_space(10), 0.3)
    land, process = Landscape(budget.space), GaussianProcess(budget.space)
    told = drawn(budget, 60)
    low = {(pattern, 0.25): 2 * land.value(pattern) for pattern in told}
    process.fit({**low, **{(pattern, 1.0): land.value(pattern) for pattern in told[:6]}})
    others = [pattern for pattern in budget.patterns() if pattern not in told]
    predicted, values = np.exp(process.predict(others)[0]), np.array([land.value(p) for p in others])
    assert np.corrcoef(predicted, values)[0, 1] > 0.8
    assert np.median(predicted / values) == pytest.approx(1, abs=0.15)


def test_failed_measurements_teach_nothing():
    budget = SPACES["layer any"]
    land, process, plain = Landscape(budget.space), GaussianProcess(budget.space), GaussianProcess(budget.space)
    told = drawn(budget, 20)
    assert not process.fit({(told[0], 1.0): np.inf})
    values = {(pattern, 1.0): land.value(pattern) for pattern in told[1:]}
    assert process.fit({(told[0], 1.0): np.inf, **values})
    assert plain.fit(values)
    assert (process.predict(told)[0] == plain.predict(told)[0]).all()


@pytest.mark.parametrize("shift", [0.0, -1.0])
def test_values_may_be_below_zero_and_all_alike(shift):
    budget = SPACES["layer any"]
    process, told = GaussianProcess(budget.space), drawn(budget, 20)
    process.fit({(pattern, 1.0): shift for pattern in told})
    assert np.isfinite(process.predict(told)).all()
    process.fit({(pattern, 1.0): n + shift for n, pattern in enumerate(told)})
    assert (np.diff(process.predict(told)[0]) > 0).all()


def test_of_many_measurements_the_best_and_the_newest_are_fitted():
    most = GaussianProcessSettings().max_points
    budget = Budget(subblock_space(12), 0.25)
    process, told = GaussianProcess(budget.space), drawn(budget, 3 * most)
    rng = np.random.default_rng(0)
    values = dict(zip(((p, 1.0) for p in told), rng.random(len(told)) + 1, strict=True))
    process.fit(values)
    _, spread = process.predict(told)
    best = np.argsort(list(values.values()))[: most // 2]
    assert 0.9 * most < process.fitted <= most
    assert max(spread[best].max(), spread[-most // 2 :].max()) < np.median(spread)


def test_what_parts_cost_alone_is_expected_before_anything_else_is_known_and_mended_after():
    budget = Budget(subblock_space(12), 0.25)
    land, told, others = Landscape(budget.space), drawn(budget, 80), drawn(budget, 200, seed=1)
    cost = effects(budget.space, {pattern: land.value(pattern) for pattern in probes(budget.space)})
    values = np.array([land.value(p) for p in others])

    def right(process):
        return np.corrcoef(process.predict(others)[0].argsort().argsort(), values.argsort().argsort())[0, 1]

    plain, process = GaussianProcess(budget.space), GaussianProcess(budget.space)
    assert not process.fit({}, cost)
    assert process.predict(others)[0] == pytest.approx(np.log(gone(budget.space, others) @ cost))
    before = right(process)
    measured = [((pattern, 1.0), land.value(pattern)) for pattern in told]
    plain.fit(dict(measured[:12]))
    assert before > right(plain)
    process.fit(dict(measured), cost)
    plain.fit(dict(measured))
    assert right(process) > max(before, right(plain))
