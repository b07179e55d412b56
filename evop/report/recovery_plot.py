"""Who comes back, who does not: every group's excess while a model heals, and pruned beside refitted and healed."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from calibration.passage import domain_of
from calibration.visible import drawable
from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import AuditedPattern
from evop.recovery.heal_file import HealFile
from evop.report.recovered import WORDS
from evop.report.style import FAINT, PATTERNS, bare, new_figure, short

LINE_INCHES = 0.19
"""Height of a group's name beside the picture."""
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""The points of each domain, told apart without colour, too."""
DASHES = ("-", "--", ":", "-.")
"""Lines of domains beyond the eighth, whose colours begin anew, differ in their dashes."""
UNITS = {"text": "excess over the dense model, nats per token", "item": "right answers lost, percentage points"}
BETTER: dict[str, Any] = {"color": PATTERNS[0], "ls": "-"}
WORSE: dict[str, Any] = {"color": PATTERNS[1], "ls": "--"}
"""How a group is drawn that lost less in the end, and one that lost more: told apart without colour, too."""


def healing_figure(heal: HealFile, labels: Mapping[str, str], tolerate: float | None = None) -> Figure:
    """Draw one line per group: its excess on ``select`` over the tokens that were learned from.

    Domains have a colour and a mark each; the group that is the worst in the end is drawn thick.

    Artists of a group carry the id ``group:DOMAIN:NUMBER``, by which the page shows one domain alone.

    Args:
        heal: the account of a healing.
        labels: group key -> what a person reads.
        tolerate: the excess that its user tolerates, drawn as a line; None for none.
    """
    groups = sorted(heal.curve[0].excess)
    tokens = [point.tokens for point in heal.curve]
    domains = sorted({domain_of(group) for group in groups})
    worst = max(groups, key=lambda group: heal.best.excess[group])
    figure = new_figure(8.6, 1.1 + max(2.4, LINE_INCHES * len(groups)))
    axis = figure.subplots()
    ends = {}
    for group in groups:
        turn, at = divmod(domains.index(domain_of(group)), len(PATTERNS))
        look: dict[str, Any] = {
            "color": PATTERNS[at],
            "marker": MARKS[at],
            "ls": DASHES[turn % len(DASHES)],
            "lw": 2.6 if group == worst else 1.1,
        }
        values = [point.excess[group] for point in heal.curve]
        axis.plot(tokens, values, ms=3.5, gid=f"group:{domain_of(group)}:{group}:line", **look)
        ends[group] = values[-1], PATTERNS[at]
    axis.axvline(heal.best_at, color=FAINT, lw=1.0, ls=":", label="the weights that were kept")
    axis.axhline(0, color=FAINT, lw=1.0, label="the dense model")
    if tolerate is not None:
        axis.axhline(tolerate, color=FAINT, lw=1.2, ls="--", label=f"tolerated: {tolerate:g}")
    axis.set_xlim(-0.02 * max(tokens[-1], 1), 1.01 * max(tokens[-1], 1))
    axis.set_xlabel("tokens that were learned from")
    axis.set_ylabel(UNITS["text"])
    axis.xaxis.set_major_formatter(EngFormatter())
    bare(axis, "both")
    figure.legend(loc="outside upper left", frameon=False, fontsize=8, ncols=3)
    _names(axis, ends, {group: labels.get(group, group) for group in groups}, worst)
    return figure


def slope_figure(audit: AuditFile, columns: Sequence[AuditedPattern], split: str, kind: str) -> Figure:
    """Draw one line per group through its excess in each of several rows that take out the same.

    A line is solid where the group lost less in the last column than in the first, dashed where it lost more; the
    worst group of the last is drawn thick.

    Args:
        audit: the audit.
        columns: the rows, the pruned one first.
        split: the split that was measured.
        kind: the kind of groups: ``text`` or ``item``.
    """
    scale = 1.0 if kind == "text" else 100.0
    each = [{row.group: row for row in audit.groups_of(column.name, split, kind)} for column in columns]
    excess = {group: [scale * rows[group].excess for rows in each] for group in each[0]}
    worst = max(excess, key=lambda group: excess[group][-1])
    figure = new_figure(8.6, 1.0 + max(2.4, LINE_INCHES * len(excess)))
    axis = figure.subplots()
    ends = {}
    for group, values in excess.items():
        look = BETTER if values[-1] <= values[0] else WORSE
        gid = f"group:{each[0][group].domain}:{group}:slope"
        axis.plot(range(len(values)), values, marker="o", ms=3, lw=2.6 if group == worst else 1.1, gid=gid, **look)
        ends[group] = values[-1], look["color"]
    axis.axhline(0, color=FAINT, lw=1.0)
    axis.annotate("dense", (0, 0), (2, 3), textcoords="offset points", color=FAINT, fontsize=7.5)
    axis.set_xticks(range(len(columns)), [_head(column) for column in columns], fontsize=8)
    axis.set_xlim(-0.15, len(columns) - 1 + 0.02)
    axis.set_ylabel(UNITS[kind])
    bare(axis, "both")
    _names(axis, ends, {group: row.label for group, row in each[0].items()}, worst)
    return figure


def _head(column: AuditedPattern) -> str:
    """Name a column: how it was recovered, and the row."""
    name, word = "\n".join(textwrap.wrap(column.name, 20)), WORDS[column.recovery]
    return drawable(name if word in column.name.lower() else f"{word}:\n{name}")


def _names(axis: Axes, ends: Mapping[str, tuple[float, str]], labels: Mapping[str, str], worst: str) -> None:
    """Write the name of every group at the right end of its line, moved up or down so that all of them can be read.

    Args:
        axis: the axes, with all else drawn; their height must have room for all names.
        ends: group -> the height of its line's end, and its colour.
        labels: group -> its name.
        worst: the group whose name is set in bold.
    """
    low, high = axis.get_ylim()
    order = sorted(ends, key=lambda group: ends[group][0])
    heights = _apart(np.array([ends[group][0] for group in order]), low, high)
    for group, height in zip(order, heights, strict=True):
        value, colour = ends[group]
        mark = axis.annotate(
            short(labels[group]),
            (1, value),
            (1.05, (height - low) / (high - low)),
            xycoords=axis.get_yaxis_transform(),
            textcoords="axes fraction",
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": colour, "shrinkA": 1, "shrinkB": 2, "relpos": (0, 0.5)},
            va="center",
            fontsize=7.5,
            color=colour,
            fontweight="bold" if group == worst else "normal",
            annotation_clip=False,
        )
        mark.set_gid(f"group:{domain_of(group)}:{group}:name")
    axis.set_ylim(low, high)


def _apart(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Move ascending heights as little as may be so that they are even-spaced at least, within an axis.

    Returns:
        Heights, float64 [values], ascending.

    Source: the least squares of the moves, given the gaps, is an isotonic regression.
    """
    from sklearn.isotonic import isotonic_regression

    gap = (high - low) / max(len(values), 16)
    steps = gap * np.arange(len(values))
    moved = isotonic_regression(values - steps)
    moved = np.clip(moved, low + gap / 2, high - gap / 2 - (steps[-1] if len(steps) else 0.0))
    return moved + steps
