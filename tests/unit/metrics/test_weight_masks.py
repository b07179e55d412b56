"""Weights that leave one by one, as the benchmark of metrics removes them: so many of a row, measured, put back."""

import math

import numpy as np
import pytest
import torch

from evop.evaluator import Evaluator
from evop.metrics.methods import Asked
from evop.metrics.parse import parse
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.reference import model_dir
from evop.removal.least_squares import least_squares
from evop.removal.space import pattern_space
from evop.removal.sparsity import Sparsity
from evop.tokens.passages import TokenPassages

RNG = np.random.default_rng(0)


def passages(count):
    ids = tuple(tuple(RNG.integers(5, 200, 6 + i % 3).tolist()) for i in range(count))
    return TokenPassages(ids, tuple("abc"[i % 3] for i in range(count)), ("",) * count, (False,) * count)


@pytest.fixture(scope="module")
def modules():
    """The modules of the benchmark, which lie in no package."""
    from measured import ROOT

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import weight_masks
        import weight_search

        yield weight_masks, weight_search


@pytest.fixture(scope="module")
def masks(modules):
    loaded = load_model(Checkpoint.find(str(model_dir())), "cpu", "float32")
    return modules[0].WeightMasks.of(loaded, passages(20))


def test_so_many_of_every_row_leave():
    def kept(scores, asked):
        return Sparsity.read(asked).stays(scores, 0)

    scores = torch.tensor([[3.0, 1, 2, 4, -math.inf, 9], [1, 1, 1, 1, 1, 1]])
    # The least half; of equals the first.
    assert kept(scores, 0.5).tolist() == [
        [True, False, False, True, False, True],
        [False, False, False, True, True, True],
    ]
    assert kept(scores, 0.34).sum(1).tolist() == [4, 4]  # two and a bit
    four = torch.tensor([[3.0, 1, 2, 4, 8, 7, 5, 6]])
    assert kept(four, "2:4").tolist() == [[True, False, False, True, True, True, False, False]]


def test_what_is_measured_is_the_model_with_zeros_and_it_gets_its_weights_back(masks):
    before = [site.weight.clone() for site in masks.sites]
    text = passages(20)
    found = masks.masks(parse("|W|"), 0.5)
    zeroed = masks.zeroed(found)
    lost, dense = masks.measured(zeroed, text), masks.measured(None, text)
    assert dense.distance.sum() == 0
    assert all(torch.equal(a, site.weight) for a, site in zip(before, masks.sites, strict=True))
    space = pattern_space(masks.loaded.checkpoint, "channel", "any")
    with masks.as_weights(zeroed):
        table = Evaluator.of(masks.loaded, space, 16, 4).dense(text)
    assert list(table.by_group.values()) == pytest.approx(list(lost.nll / lost.tokens), rel=1e-5)
    assert (lost.excess(dense) > 0).all()
    assert lost.reconstruction == pytest.approx(math.sqrt(lost.distance.sum()))


def test_a_refit_keeps_the_zeros_and_brings_outputs_nearer(masks):
    """Over all inputs of the text, the squared change of a matrix's output is the trace of D H Dᵀ."""
    text = passages(60)
    found = masks.masks(parse("|W|"), "2:4")
    refitted, moments = masks.refitted(found, text), masks._moments(text)
    for site, mask, weight in list(zip(masks.sites, found, refitted, strict=True))[::17]:
        assert not weight[~mask].any()
        squares = [
            float((d @ moments[id(site)] @ d.T).diagonal().sum())
            for d in ((new - site.weight).double() for new in (weight, site.weight * mask))
        ]
        assert squares[0] < squares[1]
        row = least_squares(site.weight[[3]].double(), moments[id(site)], mask[3])
        torch.testing.assert_close(weight[3, mask[3]], row[0].float())


def test_a_metric_that_is_no_number_somewhere_has_no_masks(masks):
    assert masks.masks(parse("ln(-|W|)"), 0.5) is None


def test_searches_of_metrics_over_weights(modules, masks, tmp_path):
    """A search finds what is no worse than what it began with, and layers lose as much as asked in sum."""

    def distance(found, dense):
        return found.reconstruction

    log, text = tmp_path / "log.jsonl", passages(9)
    search = modules[1].WeightSearch(masks, 0.5, text, text, distance, log)
    best = search.best("random", Asked(0, by_row=True), 3)
    measured = log.read_bytes()
    assert measured.count(b"\n") == 3
    log.write_bytes(measured[:-5])  # torn by a kill
    search = modules[1].WeightSearch(masks, 0.5, text, text, distance, log)
    assert search.best("random", Asked(0, by_row=True), 3) == best
    assert log.read_bytes() == measured
    assert math.isfinite(search.claimed(best))
    shares = search.shares_of_layers(best, 0, 3)
    assert len(shares) == 12
    assert set(shares) <= {0.45, 0.5, 0.55}
