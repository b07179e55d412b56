"""A group that one row names and another lacks: refused when the file is read, not when it is printed."""

import json
import shutil

import pytest
from by_hand import write_by_hand
from sets import small_set

from evop.auditing.audit_file import AuditFile
from evop.errors import EvopError
from evop.reference import model_dir
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
