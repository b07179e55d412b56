"""The verdict in plain words: who pays, how much, whether by chance, and what random patterns would have cost."""

from __future__ import annotations

from evop.auditing.audit_file import HELD_OUT, AuditFile
from evop.auditing.audit_rows import REFITTED, AuditedPattern, GroupRow, SummaryRow
from evop.report.borne import borne_words


def verdict(audit: AuditFile) -> list[str]:
    """Write sentences on the first pattern, the most important first."""
    pattern = audit.patterns[0]
    sentences = []
    for kind in audit.kinds("audit"):
        sentences += _on_text(audit, pattern) if kind == "text" else _on_questions(audit, pattern)
    claimed = claimed_and_measured(audit, pattern)
    sentences += borne_words(audit, pattern.name)
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
        + _against_others(row),
        f"{_how_sure(audit, summary)} A largest of {summary.groups} is partly luck: without it, the worst group is "
        f"estimated to lose {summary.worst:.3f}{_within(summary.worst_low, summary.worst_high)}.",
    ]
    random = audit.random_of(pattern.random, "audit", "text")
    if random is not None:
        worst, refitted = random.worst, ", refitted as it is" if random.name.startswith(REFITTED) else ""
        sentences.append(
            f"Of {random.patterns} random patterns of this size{refitted}, the worst group loses {worst.median:.3f} in "
            f"the median ({worst.least:.3f} to {worst.most:.3f}), {_times(worst.median, summary.worst)}."
        )
    for split, what in {"unseen": "clusters", HELD_OUT: "domains"}.items():
        apart = audit.summary_of(pattern.name, split, "text")
        if apart is not None:
            sentences.append(
                f"In {what} held out of the search, the worst lost {apart.worst_measured:.3f} "
                f"({_row(audit, apart).label})."
            )
    return sentences


def _against_others(row: GroupRow) -> str:
    """Say whether a group loses more than the others, and how much more would have been found."""
    if row.ahead is None or row.detectable is None:
        return "That group is a single document, so nothing can be said about chance."
    found = f"a lead of {row.detectable:.3f} would be found with a chance of 80%"
    if row.above:
        return f"That is {row.ahead:.3f} more than the others in the mean, and more than chance ({found})."
    return f"That it loses more than the others cannot be told from chance among so many groups ({found})."


def _how_sure(audit: AuditFile, summary: SummaryRow) -> str:
    """Say how sure it is that the named group is the worst, and which others may be."""
    labels = {row.group: row.label for row in audit.groups}
    among = summary.worst_among
    if among == [summary.worst_group]:
        return f"That it is the worst is {summary.worst_sure:.0%} sure."
    others = [labels[group] for group in among if group != summary.worst_group]
    named = "; ".join(others[:MOST_NAMED]) + (f"; {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else "")
    return (
        f"That it is the worst is {summary.worst_sure:.0%} sure; the worst is one of {len(others) + 1} groups with a "
        f"chance of 95%, the others being {named}."
    )


MOST_NAMED = 4
"""Groups that may be the worst are named up to so many; ``audit.json`` has all."""


def _on_questions(audit: AuditFile, pattern: AuditedPattern) -> list[str]:
    summary = audit.summary_of(pattern.name, "audit", "item")
    assert summary is not None
    row = _row(audit, summary)
    sentences = [
        f"Of the questions, {row.label} suffers most: {_percent(row.dense_accuracy)} of {row.passages} were answered "
        f"rightly before, {_percent(row.accuracy)} after ({row.lost} lost, {row.won} won); that "
        f"{'is more than chance' if row.worse else 'cannot be told from chance among so many groups'}. "
        f"{_how_sure(audit, summary)}",
        f"{summary.worse} of {summary.groups} groups of questions {'is' if summary.worse == 1 else 'are'} worse for "
        f"more than chance. {_found_in_questions(audit, summary)}",
    ]
    random = audit.random_of(pattern.random, "audit", "item")
    if random is not None and random.worse is not None:
        sentences.append(
            f"Under {random.patterns} random patterns of this size {random.worse.median:.0f} would be in the median "
            f"({random.worse.least:.0f} to {random.worse.most:.0f}), and the worst would lose "
            f"{100 * random.worst.median:.0f} points ({100 * random.worst.least:.0f} to {100 * random.worst.most:.0f}) "
            f"instead of {100 * summary.worst:.0f}, luck left out."
        )
    return sentences


def _found_in_questions(audit: AuditFile, summary: SummaryRow) -> str:
    """Say which loss of right answers would have been found."""
    counts = sorted(row.passages for row in audit.groups_of(summary.pattern, summary.split, "item"))
    n = counts[len(counts) // 2]
    if summary.detectable is None:
        return f"With {n} questions, half of the groups could lose all and not be found."
    points = 100 * summary.detectable
    return f"With {n} questions, a group has to lose {points:.0f} points to be found with a chance of 80%."


def _within(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" (95% interval {low:.3f} to {high:.3f})"


def _percent(value: float | None) -> str:
    return f"{100 * (value or 0):.0f}%"


def _times(other: float, own: float) -> str:
    return f"{other / own:.1f} times as much" if own > 0 else "where this one lost nothing"
