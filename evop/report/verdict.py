"""The verdict in plain words: who pays, how much, whether by chance, and what a random pattern would have cost."""

from __future__ import annotations

import math

from evop.auditing.audit_file import HELD_OUT, AuditedPattern, AuditFile, GroupRow, SummaryRow
from evop.losses.significance import SURE

NORMAL = 1.96
"""Standard deviations from the middle of a 95% interval of a normal distribution to its end."""


def verdict(audit: AuditFile) -> list[str]:
    """Write sentences on the first pattern, the most important first."""
    pattern = audit.patterns[0]
    sentences = []
    for kind in audit.kinds("audit"):
        sentences += _on_text(audit, pattern) if kind == "text" else _on_questions(audit, pattern)
    claimed = claimed_and_measured(audit, pattern)
    return [*sentences, *([] if claimed is None else [f"{claimed[0].upper()}{claimed[1:]}."])]


def claimed_and_measured(audit: AuditFile, pattern: AuditedPattern) -> str | None:
    """Write what a search claimed of its worst group beside what the audit measured; None where that cannot be done."""
    if pattern.claim is None or pattern.claimed_group_on_audit is None:
        return None
    claimed = pattern.claim.worst_group
    labels = {row.group: row.label for row in audit.groups}
    kind = next(row.kind for row in audit.groups if row.group == claimed)
    summary = audit.summary_of(pattern.name, "audit", kind)
    assert summary is not None
    return (
        f"the search claimed {pattern.claim.excess[claimed]:.4f} for its worst group ({labels[claimed]}); "
        f"measured on audit, at {summary.equal_count:,} {'tokens' if kind == 'text' else 'questions'} per group: "
        f"{pattern.claimed_group_on_audit:.4f} there, {summary.equal_worst:.4f} in audit's own worst group "
        f"({labels[summary.equal_worst_group]})"
    )


def _row(audit: AuditFile, summary: SummaryRow) -> GroupRow:
    """Find the worst group of a summary."""
    groups = audit.groups_of(summary.pattern, summary.split, summary.kind)
    return next(row for row in groups if row.group == summary.worst_group)


def _on_text(audit: AuditFile, pattern: AuditedPattern) -> list[str]:
    summary = audit.summary_of(pattern.name, "audit", "text")
    assert summary is not None
    row = _row(audit, summary)
    sentences = [
        f"The group that pays most is {row.label}: it lost {row.excess:.3f} nats per token"
        f"{_within(row.low, row.high)}, perplexity {row.dense_perplexity:.1f} before and {row.perplexity:.1f} after. "
        + _chance_of_text(row, summary.groups)
    ]
    random = audit.summary_of(pattern.random, "audit", "text")
    if random is not None:
        worst = _row(audit, random)
        sentences.append(
            f"A random pattern of this size would have lost {random.worst:.3f} in its worst group ({worst.label}), "
            f"{_times(random.worst, summary.worst)}."
        )
    for split, what in {"unseen": "clusters", HELD_OUT: "domains"}.items():
        apart = audit.summary_of(pattern.name, split, "text")
        if apart is not None:
            sentences.append(
                f"In {what} held out of the search, the worst lost {apart.worst:.3f} ({_row(audit, apart).label})."
            )
    return sentences


def _chance_of_text(row: GroupRow, groups: int) -> str:
    """Judge whether the largest of so many excesses could be chance.

    Normal, with the spread that the interval tells, corrected for the number of groups.
    """
    if row.low is None or row.high is None:
        return "That group is a single document, so nothing can be said about chance."
    spread = (row.high - row.low) / (2 * NORMAL)
    p = groups * math.erfc(row.excess / spread / math.sqrt(2)) if spread > 0 else 0.0
    return "That is more than chance." if p < SURE else "That cannot be told from chance among so many groups."


def _on_questions(audit: AuditFile, pattern: AuditedPattern) -> list[str]:
    summary = audit.summary_of(pattern.name, "audit", "item")
    assert summary is not None
    row = _row(audit, summary)
    sentences = [
        f"Of the questions, {row.label} suffers most: {_percent(row.dense_accuracy)} of {row.passages} were answered "
        f"rightly before, {_percent(row.accuracy)} after ({row.lost} lost, {row.won} won); that "
        f"{'is more than chance' if row.worse else 'cannot be told from chance among so many groups'}.",
        f"{summary.worse} of {summary.groups} groups of questions {'is' if summary.worse == 1 else 'are'} worse for "
        "more than chance.",
    ]
    random = audit.summary_of(pattern.random, "audit", "item")
    if random is not None:
        sentences.append(
            f"Under a random pattern of this size {random.worse} would be, and the worst would lose "
            f"{100 * random.worst:.0f} points instead of {100 * summary.worst:.0f}."
        )
    return sentences


def _within(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" (95% interval {low:.3f} to {high:.3f})"


def _percent(value: float | None) -> str:
    return f"{100 * (value or 0):.0f}%"


def _times(other: float, own: float) -> str:
    return f"{other / own:.1f} times as much" if own > 0 else "where this one lost nothing"
