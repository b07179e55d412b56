"""The audit stage: which random patterns stand beside which pattern, and which claims it can judge."""

import pytest
from sets import small_set
from tiny import build

from evop.stages.audit import audit
from evop.stages.compare import compare
from evop.stages.search import search

HOW = {"device": "cpu", "dtype": "float32"}
QUICK = {"max_tokens": 32, "min_group_tokens": 20, **HOW}
RANDOM = 5
RUNS = {
    "a": {"remove": 0.25},
    "b": {"remove": 0.25, "seed": 1},
    "c": {"remove": 0.5},
    "d": {"remove": 0.5, "loss": "kl"},
}


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """Four searches of two budgets, one of them by divergence, and their audit."""
    place, calibration = tmp_path_factory.mktemp("road"), small_set()
    model = build("llama", place / "model")
    for name, options in RUNS.items():
        search(model, calibration, place / name, deploy="any", strategy="random", evaluations=1, **options, **QUICK)
    runs = [place / name for name in RUNS]
    return place, audit(model, calibration, runs, place / "audit", random_patterns=RANDOM, **HOW).file


def test_every_pattern_names_the_random_ones_of_its_size(road):
    audited = {pattern.name: pattern for pattern in road[1].patterns}
    beside = {name: audited[name].random for name in RUNS}
    assert beside == {"a": "random as a", "b": "random as a", "c": "random as c", "d": "random as c"}
    assert list(audited) == list(RUNS)
    rows = {(row.name, row.split): row for row in road[1].random}
    assert set(rows) == {(f"random as {name}", split) for name in "ac" for split in ("audit", "unseen")}
    for row in rows.values():
        assert row.patterns == RANDOM
        assert row.worst.least < row.worst.median < row.worst.most
        groups = {group.group for group in road[1].groups if group.split == row.split}
        assert set(row.groups) == groups


def test_a_comparison_reads_the_random_row_of_each(road):
    place, file = road
    worst = {row.name: row.worst.median for row in file.random if row.split == "audit"}
    table = compare([place / name for name in RUNS]).set_index("run")
    for name in "ab":
        assert table.loc[name, "random_worst"] == worst["random as a"]
    for name in "cd":
        assert table.loc[name, "random_worst"] == worst["random as c"]


def test_only_a_claim_of_the_same_loss_is_measured(road):
    """A divergence and an excess loss are no claim and its measurement."""
    measured = {
        pattern.name: pattern.claimed_group_on_audit is not None for pattern in road[1].patterns if pattern.claim
    }
    assert measured == {"a": True, "b": True, "c": True, "d": False}
