"""The picture of an audit."""

from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import AuditedPattern, GroupRow
from evop.removal.pattern_facts import ModelName, ReachedFractions
from evop.report.audit_plot import draw_audit

ROW = {
    "pattern": "mine", "split": "audit", "domain": "law", "passages": 7, "documents": 5, "tokens": 1234,
    "dense_loss": 3.0, "dense_perplexity": 20.1, "loss": 3.5, "perplexity": 33.1, "excess": 0.5,
    "low": 0.4, "high": 0.6, "kind": "text", "ahead": 0.2, "p_others": 0.01, "above": True, "detectable": 0.1,
}  # fmt: skip


def test_names_that_the_font_lacks_are_no_warning(tmp_path):
    """Chinese names are drawn as boxes beside the group's key; nothing is printed over it."""
    reached = ReachedFractions(block_params=0.25, params=0.2, flops=0.2, kv=0.25)
    audit = AuditFile(
        version="0",
        model=ModelName(name="m", revision=None, fingerprint="f"),
        calibration="c",
        max_tokens=512,
        dtype="float32",
        metric="accuracy",
        interval="none",
        patterns=[
            AuditedPattern(
                name="mine",
                sha256="p",
                removed=[],
                thinned={},
                left={},
                random=None,
                reached=reached,
                claim=None,
                claimed_group_on_audit=None,
            )
        ],
        groups=[GroupRow(group=f"law/{i}", label=f"law/{i} {name}", **ROW) for i, name in enumerate(("税收", "tax"))],
        summary=[],
    )
    draw_audit(audit, tmp_path / "audit.png")
    assert (tmp_path / "audit.png").stat().st_size > 5_000
