"""The audit as a picture: every group's excess with its interval, one colour per pattern."""

from __future__ import annotations

import warnings
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibration.visible import drawable
from evop.auditing.audit_file import HELD_OUT, AuditFile
from evop.auditing.audit_rows import GroupRow
from evop.report.naming import row_name
from evop.report.style import colours, line_height


def draw_audit(audit: AuditFile, path: Path) -> None:
    """Draw one panel per split and kind, one line per group, who pays most under the first pattern on top."""
    panels = [(split, kind) for split in audit.splits for kind in audit.kinds(split)]
    lines = {panel: audit.groups_of(audit.patterns[0].name, *panel)[::-1] for panel in panels}
    heights = [len(lines[panel]) + 2.2 for panel in panels]
    figure = Figure(
        figsize=(10, 1.4 + line_height(len(audit.patterns) + len(audit.randoms)) * sum(heights)),
        dpi=130,
        layout="constrained",
    )
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for panel, axis in zip(panels, axes, strict=True):
        _panel(axis, audit, *panel, lines[panel])
    for kind in ("text", "item"):
        alike = [axis for (_, own), axis in zip(panels, axes, strict=True) if own == kind]
        for axis in alike[1:]:
            axis.sharex(alike[0])
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=min(4, len(names)), frameon=False)
    figure.supxlabel("bars: 95%, of random patterns their range; dotted: worst group, estimated", fontsize=9)
    with warnings.catch_warnings():  # a term in a script the font lacks is drawn as boxes; its key stands beside it
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(path)


def _panel(axis: Axes, audit: AuditFile, split: str, kind: str, lines: list[GroupRow]) -> None:
    place = {row.group: y for y, row in enumerate(lines)}
    names = [pattern.name for pattern in audit.patterns]
    called = {pattern.name: row_name(pattern) for pattern in audit.patterns}
    coloured, count = colours(names, audit.randoms), len(names) + len(audit.randoms)
    for at, name in enumerate([*names, *audit.randoms]):
        dots = _dots(audit, name, split, kind)
        ys = [place[group] + 0.6 * ((count - 1) / 2 - at) / count for group in dots]
        lows, values, highs = ([dot[end] for dot in dots.values()] for end in range(3))
        axis.hlines(ys, lows, highs, color=coloured[name], lw=1.4, alpha=0.7)
        axis.scatter(values, ys, s=18, color=coloured[name], label=drawable(called.get(name, name)), zorder=3)
        summary, random = audit.summary_of(name, split, kind), audit.random_of(name, split, kind)
        for worst in (*([summary.worst] if summary else ()), *([random.worst.median] if random else ())):
            axis.axvline(worst, color=coloured[name], lw=0.8, ls=":", zorder=1)
    counted = {
        row.group: f"{row.tokens:,} tokens" if kind == "text" else f"{row.passages:,} questions" for row in lines
    }
    axis.set_yticks(range(len(lines)), [drawable(f"{row.label}  ({counted[row.group]})") for row in lines], fontsize=8)
    axis.set_ylim(-0.7, len(lines) - 0.3)
    axis.axvline(0, color="#444444", lw=0.8, label="dense")
    axis.grid(axis="x", color="#e6e6e6", lw=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(
        "excess loss over the dense model, nats per token"
        if kind == "text"
        else "accuracy lost, share of the questions"
    )
    what = {"text": "passages", "item": "questions"}[kind]
    of_split = {"audit": what, "unseen": f"clusters of {what}", HELD_OUT: f"domains of {what}"}
    axis.set_title(f"{split}: {of_split[split]} never searched", loc="left", fontsize=9)


def _dots(audit: AuditFile, name: str, split: str, kind: str) -> dict[str, tuple[float, float, float]]:
    """Find the excess of every group between the ends of its interval; of random patterns the median in its range."""
    random = audit.random_of(name, split, kind)
    if random is not None:
        return {group: (lost.least, lost.median, lost.most) for group, lost in random.groups.items()}
    rows = audit.groups_of(name, split, kind)
    ends = [(row.excess if row.low is None else row.low, row.excess if row.high is None else row.high) for row in rows]
    return {row.group: (low, row.excess, high) for row, (low, high) in zip(rows, ends, strict=True)}
