"""What every domain loses, in the page of an audit: where its patterns remove more and less."""

from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import AuditedPattern
from evop.auditing.domain_row import DomainRow
from evop.removal.pattern_facts import ModelName, ReachedFractions
from evop.report.domains_section import domain_lines, domains_over_removed, domains_section

LOST = {"code": 0.1, "law": 0.3, "sums": 0.05}


def audit(*removed):
    """An audit of patterns of some sizes, by hand: ``sums`` are questions, and the loss grows with the size."""
    patterns = [
        AuditedPattern(
            name=f"at {share}", sha256="p", removed=[], thinned={}, left={}, random=None, claim=None,
            claimed_group_on_audit=None,
            reached=ReachedFractions(block_params=share, params=share, flops=share, kv=share),
        )
        for share in removed
    ]  # fmt: skip
    domains = [
        DomainRow(
            pattern=pattern.name, split=split, kind="item" if domain == "sums" else "text", domain=domain, groups=1,
            worst=lost * pattern.reached.params, worst_measured=lost, worst_group=f"{domain}/0",
            low=None if domain == "law" else 0.0, high=None if domain == "law" else 1.0,
        )
        for pattern in patterns for split in ("audit", "unseen") for domain, lost in LOST.items()
    ]  # fmt: skip
    return AuditFile(
        version="0", model=ModelName(name="m", revision=None, fingerprint="f"), calibration="c", max_tokens=512,
        dtype="float32", metric="accuracy", interval="none", patterns=patterns, groups=[], summary=[], domains=domains,
    )  # fmt: skip


def test_it_is_drawn_where_patterns_differ_in_size():
    assert domains_section(audit(0.25, 0.25)) == []
    (section,) = domains_section(audit(0.15, 0.25))
    assert section.id == "domains"
    assert all(domain in section.figures[0].svg for domain in LOST)


def test_every_domain_has_a_panel_in_its_unit_and_a_dot_for_every_pattern():
    file = audit(0.15, 0.25)
    figure = domains_over_removed(domain_lines(file), {pattern.name: "#000000" for pattern in file.patterns})
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["code", "law", "sums"]
    dots = [[tuple(each.get_offsets()[0].tolist()) for each in axis.collections[1::2]] for axis in figure.axes]
    assert dots[0] == [(0.15, 0.015), (0.25, 0.025)]
    assert dots[2] == [(0.15, 0.75), (0.25, 1.25)]  # points of right answers
    assert [axis.get_ylabel() for axis in figure.axes] == ["nats per token", "", "points of right answers"]
