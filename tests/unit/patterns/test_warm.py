"""A search that begins with given patterns measures them first, in full, and its strategy goes on from them."""

import numpy as np
import pytest
from toys import FIDELITIES, Exact, subblock_space

from patterns import STRATEGIES, Budget, Stop, TrialLog, finalists, make_strategy, search
from patterns.strategies.warm import Beginner, Warm

BEGINNERS = {"surrogate", "swap", "darwin", "genetic", "cma", "lq-cma"}


def warm(name, budget, starts, path, evaluations=60):
    log = TrialLog.create(path, {})
    strategy = Warm(make_strategy(name, budget, 0), starts)
    search(strategy, budget, log, Exact(budget.space), Stop(evaluations), fidelities=FIDELITIES)
    return log.trials


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_begins_with_what_it_is_given_and_never_ends_behind_it(name, tmp_path):
    budget = Budget(subblock_space(6), 0.25)
    rng = np.random.default_rng(1)
    starts = list(dict.fromkeys(budget.draw(rng) for _ in range(4)))
    trials = warm(name, budget, starts, tmp_path / "log")
    assert [trial.pattern for trial in trials[: len(starts)]] == starts
    assert {trial.fidelity for trial in trials[: len(starts)]} == {FIDELITIES[-1].passages}
    best = finalists(trials, FIDELITIES[-1].passages)[0]
    assert best.value <= min(trial.value for trial in trials[: len(starts)])
    assert isinstance(make_strategy(name, budget, 0), Beginner) == (name in BEGINNERS)


@pytest.mark.parametrize("name", ["surrogate", "swap", "genetic"])
def test_a_strategy_that_can_goes_on_from_there(name, tmp_path):
    """What it asks for lies nearer to what it was given than random patterns do."""
    budget = Budget(subblock_space(12), 0.25)
    best = finalists(warm("surrogate", budget, [budget.draw(np.random.default_rng(0))], tmp_path / "a", 200), 4)[0]
    trials = warm(name, budget, [best.pattern], tmp_path / "b", 80)
    met = [trial.pattern for trial in trials[1:] if trial.met]
    near = [sum(a != b for a, b in zip(p.levels, best.pattern.levels, strict=True)) for p in met]
    far = [sum(a != b for a, b in zip(budget.draw(np.random.default_rng(i)).levels, best.pattern.levels, strict=True))
           for i in range(80)]  # fmt: skip
    assert np.mean(near) < np.mean(far)
