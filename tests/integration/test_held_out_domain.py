"""A domain that is held out: the search sees nothing of it, and the audit reports it apart."""

import json

import pytest
from sets import DOMAINS, small_set

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.reference import model_dir
from evop.stages.audit import audit
from evop.stages.search import search

OPTIONS = {
    **{"device": "cpu", "dtype": "float32", "max_tokens": 32, "min_group_tokens": 20, "batch_size": 4},
    **{"grain": "channel", "deploy": "any", "evaluations": 2},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("held") / "run"
    with pytest.MonkeyPatch.context() as patch:
        seen = watched(patch)
        found = search(model_dir(), small_set(), out, hold_out_domain="legal_statute", **OPTIONS)
    return found, seen


def watched(patch):
    """Domains of all passages that an evaluator measures."""
    seen, measure = set(), Evaluator.of_cuts

    def of_cuts(self, cuts, passages):
        seen.update(group.split("/")[0] for group in passages.groups)
        return measure(self, cuts, passages)

    patch.setattr(Evaluator, "of_cuts", of_cuts)
    return seen


def test_the_search_sees_nothing_of_it_and_says_so(run):
    found, seen = run
    assert seen == set(DOMAINS) - {"legal_statute"}
    held = {key: why for key, why in found.account.left_out.items() if key.startswith("legal_statute/")}
    assert set(held.values()) == {"its domain is held out"}
    assert not any(key.startswith("legal_statute/") for key in found.account.groups)
    assert found.pattern.origin.held_out == ["legal_statute"]


def test_another_order_of_the_names_goes_on_with_the_search(tmp_path):
    for names in (("legal_statute", "math_word"), ["math_word,legal_statute"]):
        found = search(model_dir(), small_set(), tmp_path / "run", hold_out_domain=names, **OPTIONS)
        assert found.pattern.origin.held_out == ["legal_statute", "math_word"]


def test_the_audit_reports_it_apart(run, tmp_path):
    found, _ = run
    result = audit(
        model_dir(), small_set(), found.folder, tmp_path, needs=False, speed=False, device="cpu", dtype="float32"
    )
    domains = result.groups.groupby("split")["domain"].agg(set).to_dict()
    assert domains["held-out"] == {"legal_statute"}
    assert domains["audit"] == domains["unseen"] == set(DOMAINS) - {"legal_statute"}
    apart = result.groups[result.groups["split"] == "held-out"]
    passages = [p for split in ("audit", "unseen") for p in small_set().split(split) if p.domain == "legal_statute"]
    assert apart.groupby("pattern")["passages"].sum().to_dict() == dict.fromkeys(apart["pattern"], len(passages))
    page = (tmp_path / "report.html").read_text()
    assert "whole domains that the search saw nothing of" in page
    assert "In domains held out of the search, the worst lost" in page
    assert json.loads((tmp_path / "audit.json").read_text())["patterns"][0]["claimed_group_on_audit"] is not None


def test_names_that_are_not_there_or_leave_nothing_are_refused(tmp_path):
    with pytest.raises(EvopError, match="--hold-out-domain law: unknown; choose one of code_python, "):
        search(model_dir(), small_set(), tmp_path, hold_out_domain="law", **OPTIONS)
    with pytest.raises(EvopError, match="leaves no domain to search on"):
        search(model_dir(), small_set(), tmp_path, hold_out_domain=DOMAINS, **OPTIONS)
