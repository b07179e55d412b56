import numpy as np
import pytest
from tolerance import within

from evop.errors import EvopError
from evop.losses.objectives import OBJECTIVES, objective_of

EXCESS = np.array([0.1, 0.5, 0.2, 0.4, 0.3])


def test_worst_mean_and_cvar():
    assert objective_of("worst")(EXCESS) == 0.5
    assert objective_of("mean")(EXCESS) == pytest.approx(0.3)
    assert objective_of("cvar")(EXCESS) == pytest.approx(0.45)  # ceil(5 / 4) = 2 groups
    assert objective_of("cvar")(EXCESS[:1]) == 0.1


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
