"""A group that one row names and another lacks: refused when the file is read, not when it is printed."""

import json
import shutil

import pytest
from by_hand import write_by_hand
from pydantic import ValidationError
from sets import small_set

from evop.auditing.audit_file import AuditFile
from evop.errors import EvopError
from evop.recovery.refit_file import RefitFile
from evop.reference import model_dir
from evop.searching.frontier_file import FrontierFile
from evop.stages.audit import audit
from evop.stages.search import SearchResult, search

QUICK = {"max_tokens": 32, "dtype": "float32", "device": "cpu"}
STRANGE = "nobody/7"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A search, and the audit of it."""
    place, calibration = tmp_path_factory.mktemp("made"), small_set()
    asked = {"strategy": "random", "evaluations": 2, "min_group_tokens": 20}
    search(model_dir(), calibration, place / "run", **asked, **QUICK)
    audit(model_dir(), calibration, place / "run", place / "audit", speed=False, random_patterns=0, **QUICK)
    return place


@pytest.fixture
def house(made, tmp_path):
    return shutil.copytree(made, tmp_path / "house")


def changed(path, change):
    content = json.loads(path.read_text())
    change(content)
    write_by_hand(path, content)


def named(rows, key, group=STRANGE):
    return lambda content: content[rows][0].update({key: group})


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("the summary of audit names 'nobody/7'", named("summary", "worst_group")),
        ("the summary of audit names 'nobody/7'", named("summary", "equal_worst_group")),
        ("the summary of audit names 'nobody/7'", named("summary", "worst_among", [STRANGE])),
        ("names 'nobody/7'", named("domains", "worst_group")),
        (
            "a claim names 'nobody/7'",
            lambda content: content["patterns"][0]["claim"].update(worst_group=STRANGE, excess={STRANGE: 0.1}),
        ),
        (
            "worst_group is 'nobody/7', expected a group of excess",
            lambda content: content["patterns"][0]["claim"].update(worst_group=STRANGE),
        ),
        ("what groups need has other parts", lambda content: content["needs"]["parts"].pop()),
    ],
)
def test_an_audit_names_groups_that_it_measured(house, words, change):
    AuditFile.find(house / "audit")
    changed(house / "audit" / "audit.json", change)
    with pytest.raises(EvopError, match=words):
        AuditFile.find(house / "audit")


def test_a_search_claims_of_groups_that_its_account_has(house):
    run = house / "run"
    assert SearchResult.read(run).pattern.claim is not None
    changed(run / "search.json", lambda content: content.update(groups={}))
    with pytest.raises(EvopError, match=r"pattern\.json claims of groups that search\.json lacks; run its command"):
        SearchResult.read(run)


def test_an_account_says_what_it_scored_in_all(house):
    run = house / "run"
    changed(run / "search.json", lambda content: content["tokens"].pop("total"))
    with pytest.raises(EvopError, match=r"search\.json.*tokens.*total is missing, expected the sum"):
        SearchResult.read(run)


TRIED = [{"method": "none", "ridge": 0.0, "through": -1, "value": 0.2, "excess": {"law/0": 0.2}}]
REFIT = {
    "version": "1",
    "model": {"name": "m", "revision": None, "fingerprint": "f"},
    "pattern_sha256": "p",
    "calibration": "c",
    "recipe": {},
    "tokens": {"law": 100},
    "anchor": "",
    "tried": TRIED,
    "chosen": 0,
}


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("chosen is 1, expected one of the 1 that were tried", {"chosen": 1}),
        ("chosen is -1, expected one of", {"chosen": -1}),
        ("not of the same groups, or of none", {"tried": [*TRIED, {**TRIED[0], "excess": {"law/1": 0.1}}]}),
        ("not of the same groups, or of none", {"tried": [{**TRIED[0], "excess": {}}]}),
    ],
)
def test_a_refit_chose_one_of_what_it_tried(words, change):
    assert RefitFile(**REFIT).best.worst == 0.2
    with pytest.raises(ValidationError, match=words):
        RefitFile(**{**REFIT, **change})


JUDGED = {
    "groups": [{"group": "law/0", "kind": "text", "tolerance": 0.1, "loss": 0.05, "low": None, "high": None}],
    "domains": [],
    "measured": 0.5,
    "largest": 0.5,
    "low": None,
    "high": None,
    "worst_group": "law/0",
    "verdict": "within",
}
POINT = {
    "name": "0.20",
    "remove": 0.2,
    "removed": 0.2,
    "judgements": {"masked": JUDGED},
    "evaluations": 3,
    "tokens": 9,
    "pattern_sha256": "p",
}
FRONTIER = {
    **{key: REFIT[key] for key in ("version", "model", "calibration")},
    "cost": "params",
    "tolerate": ["0.1"],
    "judge": "masked",
    "answer": "0.20",
    "edges": {"masked": "0.20"},
    "points": [POINT],
    "unmet": [],
    "labels": {"law/0": "law/0 court"},
}


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("names '0.30', which is no point that was judged masked", {"answer": "0.30"}),
        ("names '0.30', which is no point that was judged masked", {"edges": {"masked": "0.30"}}),
        ("no edge of judge refit", {"judge": "refit"}),
        ("found cost 'beauty'", {"cost": "beauty"}),
        ("point '0.40' was judged as nothing", {"points": [POINT, {**POINT, "name": "0.40", "judgements": {}}]}),
        (
            "worst_group is 'nobody/7', expected one of groups",
            {"points": [{**POINT, "judgements": {"masked": {**JUDGED, "worst_group": STRANGE}}}]},
        ),
    ],
)
def test_a_frontier_answers_with_one_of_its_points(words, change):
    assert FrontierFile(**FRONTIER).statement
    with pytest.raises(ValidationError, match=words):
        FrontierFile(**{**FRONTIER, **change})
