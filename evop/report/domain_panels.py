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

RUINOUS, SMALL = 5, 0.05
"""A search runs out of the picture where it loses so many times what another one does at its budget, or so many times
as much as this, in nats or as a share of the questions."""

__all__ = ["ACROSS", "PANEL", "draw_panels", "mark_beyond", "places_of", "within_reach"]


def places_of(lines: pd.DataFrame) -> list[tuple[str, str]]:
    """List the domains, and the kind of their groups: text first, by name."""
    found = set(zip(lines["domain"], lines["kind"], strict=True))
    return sorted(found, key=lambda place: (place[1] != "text", place))


def draw_panels(figure: Figure, grid: Any, lines: pd.DataFrame, colour: Mapping[str, str], apart: float) -> None:
    """Draw the panels of all domains under a picture, each in the unit of its loss; one kind reaches equally far.

    Args:
        figure: the picture.
        grid: its rows and columns, the first row taken.
        lines: one row per pattern and domain: ``strategy``, ``seed``, ``removed``, ``budget``, ``domain``, ``kind``,
            ``worst``, ``low``, ``high``.
        colour: strategy -> its colour, in the order of their bars.
        apart: how far the bars of two strategies lie apart.
    """
    first: dict[str, Axes] = {}
    for number, (domain, kind) in enumerate(places_of(lines)):
        row, column = divmod(number, grid.ncols)
        axis = figure.add_subplot(grid[1 + row, column], sharey=first.get(kind))
        is_first = first.setdefault(kind, axis) is axis
        own = lines[(lines["domain"] == domain) & (lines["kind"] == kind)]
        _panel(axis, own, kind, colour, apart)
        axis.set_title(short(domain), fontsize=8.5, loc="left", pad=4)
        if is_first:
            axis.set_ylim(*_reach(lines[lines["kind"] == kind], kind))
        mark_beyond(axis, own, own["worst"] * scale_of(kind), colour, ".2f" if kind == "text" else ".0f")
        if is_first or column == 0:
            axis.set_ylabel(UNITS[kind], fontsize=7.5, color=FAINT)
        axis.tick_params(labelleft=is_first or column == 0)


def within_reach(lines: pd.DataFrame, tops: pd.Series) -> pd.Series:
    """Tell which rows a picture reaches: one ruinous search would squeeze the lines of all others together.

    Args:
        lines: one row or several a search: its ``budget``, its ``strategy`` and its ``seed``.
        tops: how far each row reaches, in the same order, in the unit of its loss.

    Returns:
        Of every row, whether its search loses no more than ``RUINOUS`` times what another strategy does at its budget,
        in the worst of its rows: bool.
    """
    search = tops.groupby([lines["budget"], lines["strategy"], lines["seed"]])
    strategy = tops.groupby([lines["budget"], lines["strategy"]]).max()
    least = lines["budget"].map(strategy.groupby(level=0).min())
    return search.transform("max") <= RUINOUS * least.clip(lower=SMALL)


def mark_beyond(axis: Axes, lines: pd.DataFrame, lost: pd.Series, colour: Mapping[str, str], form: str = ".2f") -> None:
    """Write, at the upper edge of a picture, how much a strategy lost where it runs out of it: the median over seeds.

    Args:
        axis: the picture, its limits set.
        lines: one row a search: ``strategy``, ``budget``, ``removed``.
        lost: what is drawn of each row.
        colour: strategy -> its colour.
        form: how a number is written.
    """
    top = axis.get_ylim()[1]
    for _, beyond in lines[lost > top].groupby("budget"):
        for number, (strategy, rows) in enumerate(beyond.groupby("strategy")):
            words = f"\N{UPWARDS ARROW} {lost[rows.index].median():{form}}"
            place = (rows["removed"].median(), top)
            axis.annotate(
                words, place, (4, -2 - 9 * number), textcoords="offset points", color=colour[str(strategy)],
                fontsize=7, va="top",
            )  # fmt: skip


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
    ends = lines[["worst", "low", "high"]]
    tops = ends.max(axis=1)
    low, high = float(ends.min().min()), float(tops[within_reach(lines, tops)].max())
    return min(0.0, 1.05 * low) * scale_of(kind), max(1.05 * high, 0.01) * scale_of(kind)
