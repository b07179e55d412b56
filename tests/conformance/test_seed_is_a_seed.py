"""Law 6: the same seed gives the same result, and no global random state is read or disturbed."""

import random

import numpy as np
import pytest
import rich.style  # noqa: F401  (draws a global random number when it is first imported)
import torch
from sets import new_small_set
from toys import FIDELITIES, Landscape, subblock_space

from evop.reference import model_dir
from evop.stages.audit import audit
from evop.stages.search import search
from patterns import STRATEGIES, Budget, Stop, TrialLog, make_strategy
from patterns import search as loop

DRAW_NOTHING = ("exhaustive", "greedy", "oneshot")
"""Strategies in which nothing is random."""


def global_state():
    return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()  # noqa: NPY002


def stir(seed):
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategies_depend_on_their_seed_alone(tmp_path, name):
    budget = Budget(subblock_space(12), 0.25)
    logs = []
    for n, seed in enumerate((3, 3, 4)):
        stir(n)
        before = global_state()
        log = TrialLog.create(tmp_path / str(n), {})
        land = Landscape(budget.space)
        loop(make_strategy(name, budget, seed), budget, log, land, Stop(80), fidelities=FIDELITIES)
        assert global_state() == before
        logs.append(log.path.read_bytes())
    assert logs[0] == logs[1]
    assert (logs[1] != logs[2]) == (name not in DRAW_NOTHING)


def test_the_whole_road_depends_on_its_seeds_alone(tmp_path):
    written = []
    for n in range(2):
        stir(n)
        before = global_state()
        calibration = new_small_set()
        run, out = tmp_path / f"run{n}", tmp_path / f"audit{n}"
        search(model_dir(), calibration, run, evaluations=4, max_tokens=32, min_group_tokens=20, dtype="float32")
        audit(model_dir(), calibration, run / "pattern.json", out, dtype="float32", speed=False)
        assert global_state() == before
        files = [run / "trials.jsonl", run / "pattern.json", out / "audit.csv"]
        written.append([calibration.fingerprint, *(path.read_text().replace(f"run{n}", "run") for path in files)])
    assert written[0] == written[1]
