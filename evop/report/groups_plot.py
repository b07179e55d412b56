"""Groups as dots: what the dense model and every pattern lose, who pays most on top."""

from __future__ import annotations

from matplotlib.figure import Figure

from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import GroupRow, Range
from evop.report.style import DENSE, bare, colours, line_height, new_figure, short

WORDS = {
    "text": "next-token loss, nats per token (left is better)",
    "item": "questions answered rightly, percent (right is better)",
}

EDGE = 0.04
"""The share of the width that is left free at either side."""
SPREAD = 0.6
"""The share of its line that the dots of a group take."""


def groups_figure(audit: AuditFile, split: str, kind: str) -> Figure:
    """Draw one line per group: a ring for the dense model, a dot with its interval for every pattern.

    Random patterns of one size are one dot, their median, with their range, which may run out of the picture.

    Artists of a group carry the id ``group:DOMAIN:NUMBER``, by which the page shows one domain alone.
    """
    rows = audit.groups_of(audit.patterns[0].name, split, kind)
    place = {row.group: -i for i, row in enumerate(rows)}
    names = [*(pattern.name for pattern in audit.patterns), *audit.randoms]
    colour = colours(names[: len(audit.patterns)], audit.randoms)
    figure = new_figure(8.6, 0.75 + line_height(len(names)) * max(2, len(rows)))
    axis = figure.subplots()
    dots = {(row.pattern, row.group): _value(row) for row in audit.groups if (row.split, row.kind) == (split, kind)}
    for drawn in (drawn for drawn in audit.random if (drawn.split, drawn.kind) == (split, kind)):
        dots |= {(drawn.name, row.group): _random_value(row, drawn.groups[row.group]) for row in rows}
    domains = {row.group: row.domain for row in rows}
    for (name, group), (value, low, high) in dots.items():
        at = names.index(name)
        y = place[group] + SPREAD * ((len(names) - 1) / 2 - at) / len(names)
        key = f"group:{domains[group]}:{group}:{at}"
        axis.plot([low, high], [y, y], color=colour[name], lw=1.6, alpha=0.55, gid=f"{key}:line")
        axis.plot([value], [y], "o", ms=4.6, color=colour[name], gid=f"{key}:dot")
    for row in rows:
        dense = row.dense_loss if kind == "text" else 100 * (row.dense_accuracy or 0)
        y, key = place[row.group], f"group:{row.domain}:{row.group}:dense"
        axis.plot([dense], [y], "o", ms=5.4, mfc="none", mec=DENSE, mew=1.4, gid=key)
    axis.set_yticks([place[row.group] for row in rows], [short(row.label) for row in rows], fontsize=8)
    for label, row in zip(axis.get_yticklabels(), rows, strict=True):
        label.set_gid(f"group:{row.domain}:{row.group}:label")
    axis.set_ylim(-len(rows) + 0.4, 0.6)
    if kind == "text":
        # One ruinous random pattern would squeeze all else together: its line runs out of the picture.
        own = [ends for (name, _), ends in dots.items() if name not in audit.randoms]
        left = min([row.dense_loss for row in rows] + [low for _, low, _ in own])
        right = max([value for value, _, _ in dots.values()] + [high for _, _, high in own])
        axis.set_xlim(left - EDGE * (right - left), right + EDGE * (right - left))
    axis.set_xlabel(WORDS[kind])
    bare(axis)
    return figure


def _value(row: GroupRow) -> tuple[float, float, float]:
    """Find where a dot and the ends of its interval stand: that of the change on top of the dense loss, or Wilson's."""
    if row.kind == "text":
        low, high = (row.excess if end is None else end for end in (row.low, row.high))
        return row.loss, row.dense_loss + low, row.dense_loss + high
    assert row.accuracy is not None
    assert row.accuracy_low is not None
    assert row.accuracy_high is not None
    return 100 * row.accuracy, 100 * row.accuracy_low, 100 * row.accuracy_high


def _random_value(row: GroupRow, lost: Range) -> tuple[float, float, float]:
    """Find where the median of random patterns and the ends of their range stand in a group."""
    if row.kind == "text":
        return row.dense_loss + lost.median, row.dense_loss + lost.least, row.dense_loss + lost.most
    dense = row.dense_accuracy or 0.0
    return 100 * (dense - lost.median), 100 * (dense - lost.most), 100 * (dense - lost.least)
