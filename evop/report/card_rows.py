"""The rows of a model card's table of groups: from an audit, or from what the search claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evop.auditing.audit_file import AuditFile
from evop.removal.pattern_file import Claim


@dataclass(frozen=True)
class Group:
    """One group of one split; None where the source does not say.

    Losses are in nats a token; of questions with choices, the accuracy, and as ``excess`` what it lost.
    """

    split: str
    name: str
    excess: float
    passages: int | None = None
    tokens: int | None = None
    dense: float | None = None
    pruned: float | None = None
    low: float | None = None
    high: float | None = None
    worse: bool | None = None


def audited_groups(audit: AuditFile, pattern_sha256: str, kind: str) -> list[Group]:
    """What an audit measured under one pattern, split by split, worst first.

    Args:
        audit: the audit.
        pattern_sha256: of the pattern file.
        kind: ``text``, or ``item`` for questions with choices.
    """
    names = {row.name for row in audit.patterns if row.sha256 == pattern_sha256}
    mine = (row for row in audit.groups if row.pattern in names and row.kind == kind)
    return [
        Group(
            row.split,
            row.label,
            row.excess,
            row.passages,
            row.tokens,
            row.dense_loss if kind == "text" else row.dense_accuracy,
            row.loss if kind == "text" else row.accuracy,
            row.low,
            row.high,
            row.worse,
        )
        for row in sorted(mine, key=lambda row: (row.split, -row.excess))
    ]


def claimed_groups(claim: Claim, labels: Mapping[str, str]) -> list[Group]:
    """What the search saw on ``select``, worst first.

    Args:
        claim: of the pattern file.
        labels: group key -> what a person reads; keys it lacks are shown as they are.
    """
    rows = sorted(claim.select_excess.items(), key=lambda item: -item[1])
    return [Group("select", labels.get(name, name), excess) for name, excess in rows]
