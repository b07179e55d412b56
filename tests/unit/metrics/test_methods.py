"""Methods that search metrics: the same seed asks the same, they learn, and no global random state is theirs."""

import math
import random
import sys

import numpy as np
import pytest
import torch

from evop.errors import EvopError
from evop.metrics.meta import every_meta_metric
from evop.metrics.methods import METHODS, TREES, Asked, make_method
from evop.metrics.methods.pruner_zero import DEEPEST, metric_of_tree
from evop.metrics.metric import Metric

GROUPS = ("code/0", "code/1", "law/0")


def length(metric):
    """A value that some metrics do not have: short ones are best."""
    return math.inf if "exp" in str(metric) else float(len(str(metric)))


def asked(name, rounds, seed=0, **options):
    method, found = make_method(name, Asked(seed, groups=GROUPS, **options)), []
    for _ in range(rounds):
        metrics = list(method.ask())
        found.append(metrics)
        method.tell({metric: length(metric) for metric in metrics})
    return found


@pytest.mark.parametrize("name", METHODS)
def test_a_seed_is_a_seed_and_nobody_elses_state_is_touched(name):
    def states():
        numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002
        return random.getstate(), numpy_state, torch.random.get_rng_state().tolist()

    before = states()
    first, again, other = asked(name, 3), asked(name, 3), asked(name, 3, seed=1)
    assert before == states()
    assert first == again
    assert (first != other) is (name != "exhaustive")


@pytest.mark.parametrize("name", ["optishear", "pruner-zero"])
def test_evolution_finds_shorter_metrics_than_chance(name):
    blind = "random" if name == "optishear" else "random-trees"
    bred, drawn = (np.mean([min(length(m), 200) for m in asked(of, 6)[-1]]) for of in (name, blind))
    assert bred < drawn


def test_exhaustive_asks_for_each_once_and_finishes():
    found = [metric for metrics in asked("exhaustive", 20) for metric in metrics]
    assert len(found) == len(set(found)) == 504
    assert {metric.expression for metric in found} <= set(every_meta_metric())
    assert len([m for metrics in asked("exhaustive", 20, by_row=True) for m in metrics]) == 324


def test_trees_are_pruner_zeros():
    metrics = [metric for metrics in asked("pruner-zero", 4, opposites=False) for metric in metrics]
    assert {name for metric in metrics for name in metric.expression.terminals} <= set("WGX")
    assert all(metric.expression.depth <= 2 * DEEPEST + 1 for metric in metrics)  # |W|, and div's norm
    assert str(metric_of_tree("mul(abs(mul(W, W)), mms(G))")) == "abs(|W| * |W|) * minmax(G)"


def test_adapruner_chooses_text_too():
    metrics = [metric for metrics in asked("adapruner", 12, seed=1) for metric in metrics]
    shares = {share for metric in metrics for share in metric.by_name.values()}
    assert shares <= {0, 0.25, 0.5, 0.75, 1}
    assert len(shares) > 2
    # The one cluster of law is in or out with it; those of code leave one by one.
    assert all(set(metric.by_name) in ({"code/0", "code/1", "law"}, set()) for metric in metrics)
    assert any(metric.by_name.get("code/0") != metric.by_name.get("code/1") for metric in metrics)
    assert len({metric.draw for metric in metrics}) > 2
    assert all(Metric.parse(str(metric)) == metric for metric in metrics)


@pytest.mark.parametrize("name", METHODS)
def test_faithful_metrics_read_what_the_releases_read(name):
    """Their inputs, and Pruner-Zero's gradients, are summed over passages."""
    metrics = [metric for metrics in asked(name, 2, faithful=True) for metric in metrics]
    read = {terminal for metric in metrics for terminal in metric.expression.terminals}
    assert read == ({"W", "S", "R"} if name in TREES else {"W", "S"})


def test_an_unknown_method_is_refused():
    with pytest.raises(EvopError, match="--method evolve: unknown; choose one of optishear, pruner-zero"):
        make_method("evolve", Asked(0))


@pytest.mark.parametrize(("name", "package"), [("optishear", "optuna"), ("pruner-zero", "deap")])
def test_a_package_that_is_missing_is_named_with_its_extra(name, package, monkeypatch):
    for module in [module for module in sys.modules if module.startswith("evop.metrics.methods.")]:
        monkeypatch.delitem(sys.modules, module)
    for module in [module for module in sys.modules if module.split(".")[0] == package]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EvopError, match=rf"--method {name} needs {package}.*pip install 'evop\[metrics\]'"):
        make_method(name, Asked(0))
