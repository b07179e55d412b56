"""A panel for every domain: what its worst group loses over what is removed, as audits measured it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from evop.report.frontier_lines import scale_of
from evop.report.style import FAINT, bare, short
from evop.report.tolerated_plot import ACROSS, STEPS, UNITS

PANEL = 1.9
"""Inches of height of a panel."""

__all__ = ["ACROSS", "PANEL", "draw_panels", "places_of"]


def places_of(lines: pd.DataFrame) -> list[tuple[str, str]]:
    """List the domains, and the kind of their groups: text first, by name."""
    found = set(zip(lines["domain"], lines["kind"], strict=True))
    return sorted(found, key=lambda place: (place[1] != "text", place))


def draw_panels(figure: Figure, grid: Any, lines: pd.DataFrame, colour: Mapping[str, str], apart: float) -> None:
    """Draw the panels of all domains under a picture, each in the unit of its loss; one kind reaches equally far.

    Args:
        figure: the picture.
        grid: its rows and columns, the first row taken.
        lines: one row per pattern and domain: ``strategy``, ``removed``, ``budget``, ``domain``, ``kind``, ``worst``,
            ``low``, ``high``.
        colour: strategy -> its colour, in the order of their bars.
        apart: how far the bars of two strategies lie apart.
    """
    first: dict[str, Axes] = {}
    for number, (domain, kind) in enumerate(places_of(lines)):
        row, column = divmod(number, grid.ncols)
        axis = figure.add_subplot(grid[1 + row, column], sharey=first.get(kind))
        is_first = first.setdefault(kind, axis) is axis
        _panel(axis, lines[(lines["domain"] == domain) & (lines["kind"] == kind)], kind, colour, apart)
        axis.set_title(short(domain), fontsize=8.5, loc="left", pad=4)
        if is_first:
            axis.set_ylim(*_reach(lines[lines["kind"] == kind], kind))
        if is_first or column == 0:
            axis.set_ylabel(UNITS[kind], fontsize=7.5, color=FAINT)
        axis.tick_params(labelleft=is_first or column == 0)


def _panel(axis: Axes, lines: pd.DataFrame, kind: str, colour: Mapping[str, str], apart: float) -> None:
    for at, (strategy, hue) in enumerate(colour.items()):
        own = lines[lines["strategy"] == strategy]
        x = own["removed"] + (at - (len(colour) - 1) / 2) * apart
        low, high = (own[end].fillna(own["worst"]) * scale_of(kind) for end in ("low", "high"))
        axis.vlines(x, low, high, color=hue, lw=1.1, alpha=0.6)
        axis.scatter(x, own["worst"] * scale_of(kind), s=9, color=hue, zorder=3)
        middle = own.groupby("budget")[["removed", "worst"]].median()
        axis.plot(middle["removed"] + (x - own["removed"]).mean(), middle["worst"] * scale_of(kind), color=hue, lw=1.2)
    axis.xaxis.set_major_locator(MaxNLocator(4, steps=STEPS))
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    bare(axis, "both")
    axis.tick_params(labelsize=7, labelcolor=FAINT)


def _reach(lines: pd.DataFrame, kind: str) -> tuple[float, float]:
    """Find how far the panels of a kind reach: from nothing, or below where something was won, to all that was lost."""
    ends = lines[["worst", "low", "high"]] * scale_of(kind)
    low, high = float(ends.min().min()), float(ends.max().max())
    return min(0.0, 1.05 * low), max(1.05 * high, 0.01 * scale_of(kind))
