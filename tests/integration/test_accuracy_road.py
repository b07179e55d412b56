"""From text to a pattern searched by right answers, and its audit."""

from __future__ import annotations

import json

import pytest
from sets import small_set

from evop.console.audit import print_audit
from evop.console.comparison import print_comparison
from evop.errors import EvopError
from evop.reference import model_dir
from evop.report.frontier_plot import draw_frontier
from evop.stages.audit import audit
from evop.stages.compare import compare
from evop.stages.search import search

OPTIONS = {"device": "cpu", "dtype": "float32", "max_tokens": 128, "deploy": "any", "min_group_items": 4}


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "set"
    small_set(
        continuations=["code_python", "math_word"],
        passage_chars=300,
        passages=4,
        items=16,
        select_items=8,
        audit_items=12,
        clusters=2,
        hold_out=0,
    ).save(folder)
    return folder


@pytest.fixture(scope="module")
def found(calibration, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    return search(
        model_dir(), calibration, out, loss="accuracy", strategy="random", evaluations=8, remove=0.125, **OPTIONS
    )


def header_and_trials(folder):
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def test_a_search_by_accuracy_judges_items_alone_and_says_what_it_leaves_out(found):
    header, *trials = header_and_trials(found.folder)
    assert header["groups"]
    assert all(".continuation/" in group for group in header["groups"])
    assert all("no better than chance" in why for why in header["at_chance"].values())
    assert not set(header["at_chance"]) & set(header["groups"])
    assert found.pattern.claim.worst_group in header["groups"]
    values = [trial["value"] for trial in trials if trial["value"] is not None]
    assert all(0 <= loss < 2 for trial in trials for loss in trial["losses"].values())
    assert len(set(values)) > len(values) / 2  # margins leave no plateau


def test_it_goes_on_where_it_was_and_writes_the_same_bytes(found, calibration, tmp_path):
    options = {**OPTIONS, "loss": "accuracy", "strategy": "random", "remove": 0.125}
    search(model_dir(), calibration, tmp_path / "parts", evaluations=4, **options)
    search(model_dir(), calibration, tmp_path / "parts", evaluations=8, **options)
    for name in ("trials.jsonl", "pattern.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (found.folder / name).read_bytes()


def test_its_audit_counts_items_and_text(found, calibration, tmp_path, capsys):
    from evop.console.plain import PlainConsole

    how = {"device": "cpu", "dtype": "float32", "speed": False, "random_patterns": 2}
    file = audit(model_dir(), calibration, found.folder, tmp_path / "audit", **how).file
    assert file.kinds("audit") == ["text", "item"]
    assert file.metric == "accuracy"
    for row in file.groups:
        assert (row.accuracy is None) is (row.kind == "text")
        if row.kind == "item":
            assert row.lost is not None
            assert row.excess == pytest.approx((row.lost - row.won) / row.passages)
            assert row.accuracy_low <= row.accuracy <= row.accuracy_high
            assert row.dense_perplexity is None
    (audited,) = file.patterns
    assert audited.claimed_group_on_audit is not None
    print_audit(PlainConsole(width=200), file)
    printed = capsys.readouterr().out
    assert "questions: answered rightly (accuracy)" in printed
    assert "questions per group" in printed
    assert (tmp_path / "audit" / "audit.png").stat().st_size > 10_000


def test_a_comparison_counts_what_all_searches_were_searched_by(found, calibration, tmp_path, capsys):
    from evop.console.plain import PlainConsole

    options = {**OPTIONS, "min_group_tokens": 50, "evaluations": 2, "remove": 0.125, "strategy": "random"}
    text = search(model_dir(), calibration, tmp_path / "text", **options).folder
    how = {"device": "cpu", "dtype": "float32", "speed": False, "needs": False, "random_patterns": 2}
    file = audit(model_dir(), calibration, [found.folder, text], tmp_path / "audit", **how).file
    worst = {(row.pattern, row.kind): row.worst for row in file.summary if row.split == "audit"}
    alone, both = (compare(runs, tmp_path / "audit") for runs in (found.folder, [found.folder, text]))
    assert (alone["audit_kind"][0], set(both["audit_kind"])) == ("item", {"text"})
    for table, kind, other in ((alone, "item", "text"), (both, "text", "item")):
        for _, row in table.iterrows():
            name = found.folder.name if row["folder"] == str(found.folder) else "text"
            assert (row["audit_worst"], row["other_worst"]) == (worst[name, kind], worst[name, other])
        print_comparison(PlainConsole(width=300), table)
        printed = capsys.readouterr().out
        assert f"{'questions' if other == 'item' else 'text'} worst" in printed
        assert ("right answers lost, share of the questions, on questions and clusters never searched" in printed) is (
            kind == "item"
        )
        draw_frontier(table, tmp_path / f"{kind}.png")


def test_text_and_items_meet_in_units_of_a_random_pattern(calibration, tmp_path):
    options = {**OPTIONS, "loss": "nll+accuracy", "evaluations": 2, "min_group_tokens": 50, "strategy": "random"}
    with pytest.raises(EvopError, match="no common unit; add --tolerate or --scale random"):
        search(model_dir(), calibration, tmp_path / "none", **options)
    found = search(model_dir(), calibration, tmp_path / "random", scale="random", remove=0.5, **options)
    header, *_ = header_and_trials(found.folder)
    kinds = {".continuation/" in group for group in header["groups"]}
    assert kinds == {True, False}
    assert all(value > 0 for value in header["scale_by"].values())


def test_a_loss_that_measures_nothing_of_the_set_is_refused(calibration, tmp_path):
    small_set().save(tmp_path / "text")
    with pytest.raises(EvopError, match="measures items, and the calibration set has text only"):
        search(model_dir(), tmp_path / "text", tmp_path / "run", loss="accuracy", **OPTIONS)
