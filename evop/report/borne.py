"""Whether what is tolerated held, in words."""

from __future__ import annotations

from evop.auditing.audit_file import HELD_OUT, AuditFile
from evop.auditing.audit_rows import BorneRow
from evop.losses.tolerance import amount

WHERE = {
    "audit": "on new text of the groups that were searched",
    "unseen": "in clusters of which nothing was searched",
    HELD_OUT: "in domains of which nothing was searched",
}


def borne_words(audit: AuditFile, pattern: str) -> list[str]:
    """Say for every split whether what is tolerated of a pattern held; nothing where nothing was tolerated."""
    labels = {row.group: row.label for row in audit.groups}
    return [_sentence(row, labels[row.worst_group]) for row in audit.borne if row.pattern == pattern]


def _sentence(row: BorneRow, label: str) -> str:
    lost, may = amount(max(row.worst_loss, 0.0), row.worst_kind), amount(row.worst_tolerance, row.worst_kind)
    return (
        f"Tolerated ({', '.join(row.tolerate)}): {WHERE[row.split]} this {_held(row)}. {label} uses most of what it "
        f"may lose: {lost} of {may}. {_over(row)}"
    )


def _held(row: BorneRow) -> str:
    """Say the verdict, and what it rests on."""
    if row.low is None or row.high is None:
        return "cannot be told, since every group is a single document"
    ends = f"the largest loss is {row.low:.0%} to {row.high:.0%} of what is tolerated, with 95%"
    if row.verdict == "within":
        return f"held for certain ({ends})"
    if row.verdict == "beyond":
        return f"did not hold, and that is more than chance ({ends})"
    return f"{'held' if row.measured <= 1 else 'did not hold'} as measured, and may be chance ({ends})"


def _over(row: BorneRow) -> str:
    if not row.over:
        return f"None of {row.groups} groups was measured to lose more than it may."
    return f"Of {row.groups} groups {len(row.over)} {'was' if len(row.over) == 1 else 'were'} measured to lose more."
