"""The verdict in plain words: who pays, how much, whether by chance, and what a random pattern would have cost."""

from __future__ import annotations

import math

from evop.auditing.audit_file import AuditedPattern, AuditFile, GroupRow, SummaryRow
from evop.losses.significance import SURE

NORMAL = 1.96
"""Standard deviations from the middle of a 95% interval to its end."""


def verdict(audit: AuditFile) -> list[str]:
    """Sentences on the first pattern, the most important first."""
    pattern = audit.patterns[0]
    said = []
    for kind in audit.kinds("audit"):
        said += _of_text(audit, pattern) if kind == "text" else _of_items(audit, pattern)
    said += _claimed(audit, pattern)
    return said


def summary_of(audit: AuditFile, pattern: str | None, split: str, kind: str) -> SummaryRow | None:
    """The summary of one pattern on one split and kind of groups, where there is one."""
    return next((r for r in audit.summary if (r.pattern, r.split, r.kind) == (pattern, split, kind)), None)


def _row(audit: AuditFile, summary: SummaryRow) -> GroupRow:
    key = (summary.pattern, summary.split, summary.worst_group)
    return next(row for row in audit.groups if (row.pattern, row.split, row.group) == key)


def _of_text(audit: AuditFile, pattern: AuditedPattern) -> list[str]:
    summary = summary_of(audit, pattern.name, "audit", "text")
    assert summary is not None
    row = _row(audit, summary)
    said = [
        f"The group that pays most is {row.label}: it lost {row.excess:.3f} nats a token"
        f"{_within(row.low, row.high)}, perplexity {row.dense_perplexity:.1f} before and {row.perplexity:.1f} after. "
        + _chance_of_text(row, summary.groups)
    ]
    random = summary_of(audit, pattern.random, "audit", "text")
    if random is not None:
        worst = _row(audit, random)
        said.append(
            f"A random pattern of this size would have lost {random.worst:.3f} in its worst group ({worst.label}), "
            f"{_times(random.worst, summary.worst)}."
        )
    unseen = summary_of(audit, pattern.name, "unseen", "text")
    if unseen is not None:
        said.append(
            f"In clusters held out of the search, the worst lost {unseen.worst:.3f} ({_row(audit, unseen).label})."
        )
    return said


def _chance_of_text(row: GroupRow, groups: int) -> str:
    """Whether the largest of so many excesses could be chance: normal, from its interval, corrected for the number."""
    if row.low is None or row.high is None:
        return "That group is a single document, so nothing can be said about chance."
    spread = (row.high - row.low) / (2 * NORMAL)
    p = groups * math.erfc(row.excess / spread / math.sqrt(2)) if spread > 0 else 0.0
    return "That is more than chance." if p < SURE else "That cannot be told from chance among so many groups."


def _of_items(audit: AuditFile, pattern: AuditedPattern) -> list[str]:
    summary = summary_of(audit, pattern.name, "audit", "item")
    assert summary is not None
    row = _row(audit, summary)
    said = [
        f"Of the questions, {row.label} suffers most: {_percent(row.dense_accuracy)} of {row.passages} were answered "
        f"rightly before, {_percent(row.accuracy)} after ({row.lost} items lost, {row.won} won); that "
        f"{'is more than chance' if row.worse else 'cannot be told from chance among so many groups'}.",
        f"{summary.worse} of {summary.groups} groups of questions {'is' if summary.worse == 1 else 'are'} worse for "
        "more than chance.",
    ]
    random = summary_of(audit, pattern.random, "audit", "item")
    if random is not None:
        said.append(
            f"Under a random pattern of this size {random.worse} would be, and the worst would lose "
            f"{100 * random.worst:.0f} points instead of {100 * summary.worst:.0f}."
        )
    return said


def _claimed(audit: AuditFile, pattern: AuditedPattern) -> list[str]:
    if pattern.claim is None or pattern.claimed_group_on_audit is None:
        return []
    group = pattern.claim.worst_group
    label = next((row.label for row in audit.groups if row.group == group), group)
    return [
        f"The search claimed {pattern.claim.select_excess[group]:.3f} for its worst group ({label}); measured there on "
        f"audit: {pattern.claimed_group_on_audit:.3f}."
    ]


def _within(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" (95% interval {low:.3f} to {high:.3f})"


def _percent(value: float | None) -> str:
    return f"{100 * (value or 0):.0f}%"


def _times(other: float, own: float) -> str:
    return f"{other / own:.1f} times as much" if own > 0 else "where this one lost nothing"
