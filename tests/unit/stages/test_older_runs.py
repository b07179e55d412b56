"""A search of an older version: its log and its account are refused, its answer can be audited and pruned."""

import json

import pytest
from sets import small_set

from evop.errors import EvopError
from evop.reference import model_dir
from evop.stages.audit import audit
from evop.stages.compare import compare
from evop.stages.prune import prune
from evop.stages.search import search
from patterns.trials import SCHEMA

QUICK = {"max_tokens": 32, "min_group_tokens": 20, "dtype": "float32", "device": "cpu", "strategy": "random"}


@pytest.fixture
def older(tmp_path):
    """A search as the version before wrote it: other names of keys, other schemas."""
    run = tmp_path / "older"
    search(model_dir(), small_set(), run, evaluations=2, **QUICK)
    log = (run / "trials.jsonl").read_text().replace('"fidelity":', '"effort":')
    (run / "trials.jsonl").write_text(log.replace(SCHEMA, "evop.trials/2"))
    account = json.loads((run / "search.json").read_text())
    account["cut"] = account.pop("truncated")
    (run / "search.json").write_text(json.dumps({**account, "schema": "evop.search/1"}))
    return run


def test_what_is_of_another_version_is_said_to_be(older):
    with pytest.raises(
        EvopError, match=r"trials\.jsonl opens with schema 'evop\.trials/2', .* another version of evop"
    ):
        search(model_dir(), small_set(), older, evaluations=3, **QUICK)
    with pytest.raises(EvopError, match=r"another version of evop"):
        compare(older)


def test_its_answer_is_audited_and_pruned(older, tmp_path):
    audit(
        model_dir(),
        small_set(),
        older,
        tmp_path / "audit",
        speed=False,
        needs=False,
        dtype="float32",
        random_patterns=1,
    )
    assert "whose log can be read here" in (tmp_path / "audit" / "report.html").read_text()
    said = []
    prune(model_dir(), older, tmp_path / "pruned", audit=tmp_path / "audit", parity=False, report=said.append)
    assert any("another version of evop" in line and "by their keys" in line for line in said)
    assert (tmp_path / "pruned" / "README.md").is_file()
