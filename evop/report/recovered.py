"""Which rows of an audit are one pattern, pruned, refitted and healed, and in words: who comes back."""

from __future__ import annotations

from collections.abc import Sequence

from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import AuditedPattern
from evop.report.naming import row_name

WORDS = {"none": "pruned", "refitted": "refitted", "healed": "healed"}
"""How a row was recovered -> what it is called beside the others, in the order in which they stand."""
MOST_NAMED = 6
"""Groups that lost more are named up to so many; the picture has all."""


def recovered_rows(audit: AuditFile) -> list[list[AuditedPattern]]:
    """List the rows that take out the same, pruned first, refitted, then healed: what was recovered, and from what.

    A mask and the checkpoint made of it compute the same; the one that was given first stands for both.
    """
    found: dict[str, list[AuditedPattern]] = {}
    for pattern in audit.patterns:
        alike = found.setdefault(pattern.parts, [])
        twin = next((row for row in alike if (row.recovery, row.sha256) == (pattern.recovery, pattern.sha256)), None)
        if twin is None or pattern.recovery == "healed":
            alike.append(pattern)
    ordered = [sorted(rows, key=lambda row: list(WORDS).index(row.recovery)) for parts, rows in found.items() if parts]
    return [rows for rows in ordered if len({row.recovery for row in rows}) > 1]


def recovered_words(audit: AuditFile, rows: Sequence[AuditedPattern], tolerate: float | None = None) -> list[str]:
    """Write a sentence on every row after the first: worst and mean beside it, and which groups lost more than in it.

    Args:
        audit: the audit.
        rows: rows that take out the same, as ``recovered_rows`` lists them.
        tolerate: the excess of text that its user tolerates; None where none was named.
    """
    before, sentences = rows[0], []
    panels = [(split, kind) for split in audit.splits for kind in audit.kinds(split)]
    for row in rows[1:]:
        for split, kind in panels:
            sentences.append(_words(audit, (before, row), split, kind, tolerate if kind == "text" else None))
    return sentences


def _words(
    audit: AuditFile, pair: tuple[AuditedPattern, AuditedPattern], split: str, kind: str, tolerate: float | None
) -> str:
    """Write the sentence on one row, one split and one kind of groups."""
    names = [row.name for row in pair]
    worst, mean = [], []
    for name in names:
        summary = audit.summary_of(name, split, kind)
        assert summary is not None
        worst.append(summary.worst)
        mean.append(summary.mean)
    first, last = ({row.group: row for row in audit.groups_of(name, split, kind)} for name in names)
    more = sorted((group for group in last if last[group].excess > first[group].excess), key=lambda g: -last[g].excess)
    scale, form, unit = (1.0, ".3f", "nats per token") if kind == "text" else (100.0, ".1f", "points of right answers")
    sentence = (
        f"{row_name(pair[1])} against {row_name(pair[0])}, on {split}: the worst group loses {scale * worst[1]:{form}} "
        f"instead of {scale * worst[0]:{form}} {unit}, the mean {scale * mean[1]:{form}} instead of "
        f"{scale * mean[0]:{form}}; "
    )
    if not more:
        sentence += f"all {len(last)} groups lose less, or as much"
    else:
        shown = ", ".join(last[group].label for group in more[:MOST_NAMED])
        rest = f", and {len(more) - MOST_NAMED} more" if len(more) > MOST_NAMED else ""
        sentence += f"{len(more)} of {len(last)} groups lose more: {shown}{rest}"
    if tolerate is not None:
        within = sum(row.excess <= tolerate for row in last.values())
        sentence += f"; {within} of {len(last)} are within {tolerate:g}"
    return f"{sentence}."
