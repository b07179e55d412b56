"""Names from files hold anything; pictures and tables show them as they are."""

import io

from rich.console import Console

from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import AuditedPattern, GroupRow, SummaryRow
from evop.console.audit import print_audit
from evop.removal.pattern_file import ModelName, ReachedFractions
from evop.report import groups_figure, pattern_figure, verdict
from evop.report.style import svg

NAME = "a $x_$ [/bold] <b> & $\\foo$"


def audit(low, high):
    reached = ReachedFractions(block_params=0.25, params=0.2, flops=0.2, kv=0.25)
    row = {
        "pattern": NAME, "split": "audit", "kind": "text", "domain": "law", "passages": 7, "documents": 5, "tokens": 99,
        "dense_loss": 3.0, "dense_perplexity": 20.1, "loss": 3.5, "perplexity": 33.1, "excess": 0.5, "low": low,
        "high": high,
    }  # fmt: skip
    summary = {
        "pattern": NAME, "split": "audit", "kind": "text", "groups": 30, "worse": None, "tokens": 99, "worst": 0.5,
        "worst_low": low, "worst_high": high, "worst_group": "law/0", "p90": 0.5, "mean": 0.5, "equal_worst": 0.5,
        "equal_worst_group": "law/0", "equal_count": 9, "against": NAME, "gap": 0.0, "gap_low": 0.0, "gap_high": 0.0,
        "tie": False,
    }  # fmt: skip
    pattern = AuditedPattern(
        name=NAME, sha256="p", removed=[], thinned={}, left={"layers.0.attn": 0.5}, random=None, reached=reached,
        claim=None, claimed_group_on_audit=None,
    )  # fmt: skip
    return AuditFile(
        version="0", model=ModelName(name="m", revision=None, fingerprint="f"), calibration="c", max_tokens=512,
        dtype="float32", metric="accuracy", interval="none", patterns=[pattern],
        groups=[GroupRow(group="law/0", label=f"law/0 {NAME}", **row)], summary=[SummaryRow(**summary)],
    )  # fmt: skip


def test_no_name_is_a_formula_or_markup():
    given = audit(0.4, 0.6)
    drawn = svg(groups_figure(given, "audit", "text"), "x") + svg(pattern_figure(given), "x")
    assert "$x_$" in drawn
    stream = io.StringIO()
    print_audit(Console(file=stream, width=200), given)
    assert f"law/0 {NAME}" in stream.getvalue()


def test_the_largest_of_many_is_called_more_than_chance_where_it_is_for_all_of_them():
    assert "That is more than chance." in verdict(audit(0.4, 0.6))[0]
    assert "cannot be told from chance" in verdict(audit(0.05, 0.95))[0]  # above nothing, but one of thirty
