"""The audit as a picture: every group's excess with its interval, one colour a pattern."""

from __future__ import annotations

import warnings
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evop.auditing.file import AuditFile, GroupRow

COLOURS = ("#1b5e9c", "#c1440e", "#4a7a2c", "#7b4a9e", "#a07a00")
RANDOM_COLOUR = "#9a9a9a"


def draw_audit(audit: AuditFile, path: Path) -> None:
    """Draw the audit: a panel a split, a line a group, the group that pays most under the first pattern on top."""
    splits = list(dict.fromkeys(row.split for row in audit.groups))
    lines = {split: _ordered(audit, split) for split in splits}
    heights = [len(lines[split]) + 1.5 for split in splits]
    figure = Figure(figsize=(10, 1.4 + 0.24 * sum(heights)), dpi=130, layout="constrained")
    axes = figure.subplots(len(splits), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for split, axis in zip(splits, axes, strict=True):
        _panel(axis, audit, split, lines[split])
    axes[-1].set_xlabel("excess loss over the dense model, nats a token")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False)
    with warnings.catch_warnings():  # a term in a script the font lacks is drawn as boxes; its key stands beside it
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(path)


def _ordered(audit: AuditFile, split: str) -> list[GroupRow]:
    first = audit.patterns[0].name
    mine = [row for row in audit.groups if row.split == split and row.pattern == first]
    return sorted(mine, key=lambda row: row.excess)


def _panel(axis: Axes, audit: AuditFile, split: str, lines: list[GroupRow]) -> None:
    place = {row.group: y for y, row in enumerate(lines)}
    count = len(audit.patterns)
    colours = iter(COLOURS * count)
    for at, pattern in enumerate(audit.patterns):
        rows = [row for row in audit.groups if row.split == split and row.pattern == pattern.name]
        colour = RANDOM_COLOUR if pattern.sha256 is None else next(colours)
        ys = [place[row.group] + 0.5 * ((count - 1) / 2 - at) / count for row in rows]
        axis.hlines(
            ys,
            [row.excess if row.low is None else row.low for row in rows],
            [row.excess if row.high is None else row.high for row in rows],
            color=colour,
            lw=1.4,
            alpha=0.7,
        )
        axis.scatter([row.excess for row in rows], ys, s=18, color=colour, label=pattern.name, zorder=3)
        axis.axvline(max(row.excess for row in rows), color=colour, lw=0.8, ls=":", zorder=1)
    axis.set_yticks(range(len(lines)), [f"{row.label}  ({row.tokens:,} tokens)" for row in lines], fontsize=8)
    axis.set_ylim(-0.7, len(lines) - 0.3)
    axis.axvline(0, color="#444444", lw=0.8)
    axis.grid(axis="x", color="#e6e6e6", lw=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.set_title(
        f"{split}: {'passages' if split == 'audit' else 'clusters'} never searched "
        "(bars: 95% bootstrap over documents; dotted: worst group)",
        loc="left",
        fontsize=9,
    )
