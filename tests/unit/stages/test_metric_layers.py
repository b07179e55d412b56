"""The search of a share for every layer that may follow one of a metric: resumed, no worse than one share for all."""

from __future__ import annotations

import json

import pytest
from sets import small_set

from evop.errors import EvopError
from evop.metrics.methods import make_layer_method
from evop.recipes.metric import MetricRecipe
from evop.searching.metrics.layers import LayerLog, LayerTrial
from evop.stages.metric import search_metric
from evop.stages.prune import prune

QUICK = {"max_tokens": 16, "min_group_tokens": 10, "device": "cpu", "dtype": "float32"}
HALF = {**QUICK, "grain": "weight", "remove": 0.5, "method": "random", "layers": True}


def log_of(folder):
    return (folder / "layer-trials.jsonl").read_bytes()


def test_shares_are_searched_for_the_metric_that_was_found(tiny_folder, tmp_path):
    """Cut anywhere it is the same bytes; one share for all layers is tried, too, so nothing worse is taken."""
    model, calibration, whole, parts = tiny_folder("llama"), small_set(), tmp_path / "whole", tmp_path / "parts"
    found = search_metric(model, calibration, whole, evaluations=4, **HALF)
    alone = search_metric(model, calibration, parts, evaluations=4, **{**HALF, "layers": False})
    assert (alone.sparsity, alone.layers, alone.metric) == ("0.5", [], found.metric)
    search_metric(model, calibration, parts, evaluations=4, **HALF)
    (parts / "layer-trials.jsonl").write_bytes(log_of(whole)[:-9])  # torn by a kill
    assert search_metric(model, calibration, parts, evaluations=4, **HALF) == found
    assert log_of(parts) == log_of(whole)
    trials = [json.loads(line) for line in log_of(whole).decode().splitlines()[1:]]
    assert len(trials) == 4
    assert trials[0]["shares"] == [0.5] * 4
    assert {share for trial in trials for share in trial["shares"]} <= {0.45, 0.5, 0.55}
    (same,) = [finalist for finalist in found.finalists if finalist.metric == found.metric]
    assert trials[0]["value"] == pytest.approx(same.search, rel=1e-6)
    taken = next(one for one in found.layers if found.sparsity == ",".join(f"{share:g}" for share in one.shares))
    assert taken.pooled == min(one.pooled for one in found.layers) <= same.pooled * (1 + 1e-6)
    # What loses less than was asked is no answer, however good.
    assert all(sum(one.shares) / 4 >= 0.5 - 1e-9 for one in found.layers)
    assert found.tokens["total"] > alone.tokens["total"]
    given = {**QUICK, "grain": "weight", "importance": str(whole), "remove": found.sparsity}
    prune(model, None, tmp_path / "out", calibration=calibration, parity=False, **given)
    account = json.loads((tmp_path / "out" / "zeros.json").read_text())
    assert (account["zeros"]["sparsity"], account["importance"]) == (found.sparsity, found.metric)


def test_shares_of_another_metric_are_searched_anew(tmp_path):
    """A longer search may find another metric; what was measured for the first says nothing of it."""
    path, trial = tmp_path / "layer-trials.jsonl", LayerTrial((0.45, 0.55), 0.25, {"law": 3.5})
    LayerLog.of(path, {"metric": "|W|", "seed": 0}).append([trial])
    assert LayerLog.of(path, {"metric": "|W|", "seed": 0}).trials == [trial]
    assert LayerLog.of(path, {"metric": "sqr(W)", "seed": 0}).trials == []
    assert LayerLog.open(path).header["metric"] == "sqr(W)"


def test_layers_are_for_weights_with_one_share():
    for wrong in ({"grain": "channel"}, {"grain": "weight", "sparsity": "2:4"}):
        with pytest.raises(EvopError, match="--layers is for --grain weight with --remove; leave it out"):
            MetricRecipe.of(layers=True, **wrong)


def test_a_layer_loses_nothing_less_than_nothing():
    """At the edge there are fewer choices: no share below 0, none of a whole row."""
    for share, choices in ((0.02, {0.02, 0.07}), (0.97, {0.92, 0.97}), (0.0, {0.0, 0.05})):
        method = make_layer_method(share, 5, 0)
        asked = method.ask()
        assert asked[0] == (share,) * 5
        assert {one for shares in asked for one in shares} == choices


def test_shares_are_bred_by_loss_and_by_how_much_is_lost():
    """Where every layer but the first may lose all it can for nothing, later generations say so."""
    method = make_layer_method(0.5, 4, 1)
    for _ in range(8):
        asked = method.ask()
        method.tell({shares: (shares[0] - sum(shares[1:]), abs(sum(shares) / 4 - 0.5)) for shares in asked})
    best = min(asked, key=lambda shares: shares[0] - sum(shares[1:]))
    assert best == (0.45, 0.55, 0.55, 0.55)
