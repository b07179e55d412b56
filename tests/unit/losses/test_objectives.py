import numpy as np
import pytest
from tolerance import within

from evop.errors import EvopError
from evop.losses.objectives import OBJECTIVES, objective_of

EXCESS = np.array([0.1, 0.5, 0.2, 0.4, 0.3])


def test_worst_mean_and_cvar():
    assert objective_of("worst")(EXCESS) == 0.5
    assert objective_of("mean")(EXCESS) == pytest.approx(0.3)
    assert objective_of("cvar")(EXCESS) == pytest.approx(0.4)  # ceil(5 / 2) = 3 groups
    assert objective_of("cvar")(EXCESS[:1]) == 0.1


def test_the_tail_of_cvar_runs_from_the_worst_group_to_the_mean():
    assert objective_of("cvar", 0.25)(EXCESS) == pytest.approx(0.45)  # ceil(5 / 4) = 2 groups
    assert objective_of("cvar", 0.4)(EXCESS) == pytest.approx(0.45)  # 2 of 5 exactly
    assert objective_of("cvar", 1e-6)(EXCESS) == objective_of("worst")(EXCESS)
    assert objective_of("cvar", 1.0)(EXCESS) == pytest.approx(objective_of("mean")(EXCESS))
    # 0.7 of 10 groups are 7, though 0.7 * 10 is a little more in floating point.
    assert objective_of("cvar", 0.7)(np.arange(10.0)) == pytest.approx(np.arange(3.0, 10.0).mean())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_ignore_order_and_grow_with_every_group(name):
    rng = np.random.default_rng(0)
    objective = objective_of(name)
    for _ in range(20):
        excess = rng.normal(0.2, 0.2, 9)
        assert objective(rng.permutation(excess)) == pytest.approx(objective(excess))
        assert objective(excess + rng.gamma(1, 0.1, 9)) > objective(excess)
        assert excess.mean() - within(1e-12) <= objective(excess) <= excess.max() + within(1e-12)


def test_unknown_objectives_are_refused():
    with pytest.raises(EvopError, match="--objective best: unknown; choose one of worst, cvar, mean"):
        objective_of("best")
