"""A search of metrics: resumed byte for byte, alike metrics counted once, its answer taken by a search of patterns."""

import json

import pytest
from by_hand import write_log_by_hand
from sets import small_set

from evop.errors import EvopError
from evop.importance.metric_file import MetricFile
from evop.metrics.methods import METHODS
from evop.reference import model_dir
from evop.stages.metric import search_metric
from evop.stages.search import search

QUICK = {"max_tokens": 16, "min_group_tokens": 10, "device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="module")
def calibration():
    return small_set()


def run(model, calibration, out, **options):
    return search_metric(model, calibration, out, **{**QUICK, "width_step": 8, **options})


@pytest.mark.parametrize("method", METHODS)
def test_a_longer_search_extends_a_shorter_one_wherever_it_was_cut(method, calibration, tiny_folder, tmp_path):
    model = tiny_folder("llama")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    found = run(model, calibration, whole, method=method, evaluations=9)
    run(model, calibration, parts, method=method, evaluations=4)
    log, short = (path / "trials.jsonl" for path in (whole, parts))
    assert log.read_bytes().startswith(short.read_bytes())
    short.write_bytes(short.read_bytes()[:-7])  # torn by a kill
    again = run(model, calibration, parts, method=method, evaluations=9)
    assert log.read_bytes() == short.read_bytes()
    assert found == again == MetricFile.read(whole / "metric.json")
    assert (found.evaluations, found.stopped) == (9, "evaluations")
    rows = [json.loads(line) for line in log.read_text().splitlines()[1:]]
    assert len({row["metric"] for row in rows}) == len(rows) == found.asked
    measured = {row["metric"]: row for row in rows if row["tokens"]}
    assert len(measured) == 9
    for row in rows:
        if "alike" in row:
            assert row["value"] == measured[row["alike"]]["value"]
    best = min(found.finalists, key=lambda finalist: finalist.pooled)
    assert found.metric == best.metric


@pytest.mark.parametrize("grain", ["channel", "weight"])
def test_a_person_is_told_what_it_is_doing(grain, calibration, tiny_folder, tmp_path):
    seen = []
    run(tiny_folder("llama"), calibration, tmp_path / "out", evaluations=3, grain=grain, watch=seen.append)
    stages = [progress.stage for progress in seen]
    assert list(dict.fromkeys(stages)) == ["loading", "dense", "statistics", "searching", "selecting"]
    assert stages.count("statistics") == 1


def test_the_answer_is_the_importance_of_a_search(calibration, tmp_path):
    """What is said of a metric is what one ranking by it loses; named by folder or written out, it is one search."""
    found = run(model_dir(), calibration, tmp_path / "metric", evaluations=3, grain="mixed", width_step=None)
    options = {**QUICK, "grain": "mixed", "deploy": "any", "strategy": "oneshot"}
    for out, importance in (("folder", str(tmp_path / "metric")), ("line", found.metric)):
        answer = search(model_dir(), calibration, tmp_path / out, importance=importance, **options)
        (finalist,) = answer.account.finalists
        (same,) = [other for other in found.finalists if other.metric == found.metric]
        assert (finalist.search, finalist.select, finalist.pooled) == pytest.approx(
            (same.search, same.select, same.pooled), rel=1e-4
        )
        assert answer.pattern.origin.importance == found.metric
    assert (tmp_path / "folder" / "trials.jsonl").read_bytes() == (tmp_path / "line" / "trials.jsonl").read_bytes()


def test_the_passages_that_a_metric_read_are_read_again(calibration, tmp_path):
    """Half of every group's: one ranking by the line loses what was said of it, and is charged for that half."""
    found = run(
        model_dir(),
        calibration,
        tmp_path / "metric",
        evaluations=5,
        grain="channel",
        method="adapruner",
        width_step=None,
    )
    half = next(finalist for finalist in found.finalists if "drawn=" in finalist.metric)
    options = {**QUICK, "grain": "channel", "deploy": "any", "strategy": "oneshot"}
    tokens = {}
    for line in (half.metric, half.metric.partition(" @ ")[0]):
        answer = search(model_dir(), calibration, tmp_path / str(len(tokens)), importance=line, **options)
        tokens[line] = answer.account.tokens["importance"]
        if line == half.metric:
            (finalist,) = answer.account.finalists
            assert (finalist.search, finalist.select) == pytest.approx((half.search, half.select), rel=1e-4)
    assert tokens[half.metric] < 0.7 * tokens[line]


def test_another_search_in_the_folder_is_refused(calibration, tiny_folder, tmp_path):
    model = tiny_folder("llama")
    run(model, calibration, tmp_path / "run", evaluations=2)
    with pytest.raises(EvopError, match="holds another search: its seed is 0, this one's is 1"):
        run(model, calibration, tmp_path / "run", evaluations=2, seed=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("")
    with pytest.raises(EvopError, match="is not empty and holds no search of metrics"):
        run(model, calibration, tmp_path / "full")
    with pytest.raises(EvopError, match="--method evolve: unknown"):
        run(model, calibration, tmp_path / "other", method="evolve")


def test_a_log_that_another_search_wrote_is_refused(calibration, tiny_folder, tmp_path):
    model, log = tiny_folder("llama"), tmp_path / "run" / "trials.jsonl"
    run(model, calibration, tmp_path / "run", evaluations=3, method="random")

    def change(text):
        head, first, *others = text.splitlines()
        return "\n".join([head, json.dumps(json.loads(first) | {"metric": "W"}), *others])

    write_log_by_hand(log, change)
    with pytest.raises(EvopError, match="holds other metrics than this search would ask for"):
        run(model, calibration, tmp_path / "run", evaluations=3, method="random")


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("sparsity 4:2: so many of so many stay", {"grain": "weight", "sparsity": "4:2"}),
        (
            r"sparsity 5:7: layers\.0\.attn/.* has rows of 192, which is no multiple of 7",
            {"grain": "weight", "sparsity": "5:7"},
        ),
        ("the budget cannot be met", {"grain": "channel", "remove": 0.99}),
    ],
)
def test_what_cannot_leave_is_said_before_anything_is_written(calibration, tmp_path, words, asked):
    with pytest.raises(EvopError, match=words):
        search_metric(model_dir(), calibration, tmp_path / "out", method="random", **QUICK | asked)
    assert not (tmp_path / "out").exists()
