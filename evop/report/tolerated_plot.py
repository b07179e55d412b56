"""What every domain pays over what is removed, beside what it may pay: the worst of all, then each domain by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from calibration.visible import drawable
from evop.report.frontier_lines import FrontierLine, scale_of
from evop.report.style import FAINT, LIMIT, PAPER, PATTERNS, bare, new_figure, short
from evop.searching.frontier_file import WORDS

ACROSS = 4
"""Panels of domains in a row at most."""
FARTHEST = 2.6
"""A panel reaches so many times what is tolerated at most; what lies above leaves it."""
STEPS = (1, 2, 5, 10)
"""Ticks lie a multiple of these apart, so that whole percents are written under them."""
BANDS = 2
"""So many lines have bands; the intervals of more are bars."""
TOLERATED = "what is tolerated"
UNITS = {"text": "nats per token", "item": "points of right answers"}
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""The points of each line, told apart without colour, too."""


def tolerated_figure(lines: Sequence[FrontierLine], cost: str, model: str = "") -> Figure:
    """Draw the largest of loss over tolerance over what is removed, and under it a panel for every domain.

    Bands, or bars where there are more than two lines, are 95% intervals of the largest loss, of all groups or of those
    of a domain together. A point is filled where all of its interval is within what is tolerated.

    Args:
        lines: what is drawn, the first in front.
        cost: what the budgets count.
        model: name of the model.
    """
    domains = _domains(lines)
    across = min(ACROSS, max(len(domains), 1))
    rows = -(-len(domains) // across)
    figure = new_figure(9.6, 3.7 + 1.9 * rows)
    grid = figure.add_gridspec(1 + rows, across, height_ratios=[3.2, *[1.9] * rows])
    top = figure.add_subplot(grid[0, :])
    _worst(top, lines)
    top.set_xlabel(f"removed of {WORDS.get(cost, WORDS['params'])}", fontsize=9)
    words = f"passages that no search saw ({interval_word(lines)}: 95% interval; filled: all of it is within)"
    top.set_title(drawable(", ".join(filter(None, [model, words]))), loc="left", fontsize=9)
    _panels(figure, grid, across, domains, lines)
    _legend(figure, top, lines)
    return figure


def domains_figure(lines: Sequence[FrontierLine]) -> Figure:
    """Draw the panels of the domains alone, as ``tolerated_figure`` has them."""
    domains = _domains(lines)
    across = min(ACROSS, max(len(domains), 1))
    rows = max(1, -(-len(domains) // across))
    figure = new_figure(9.6, 0.7 + 1.9 * rows)
    grid = figure.add_gridspec(1 + rows, across, height_ratios=[0.001, *[1.9] * rows])
    _panels(figure, grid, across, domains, lines)
    _legend(figure, figure.axes[0], lines)
    return figure


def interval_word(lines: Sequence[FrontierLine]) -> str:
    """Say how the intervals of so many lines are drawn."""
    return "band" if len(lines) <= BANDS else "bar"


def _legend(figure: Figure, axis: Axes, lines: Sequence[FrontierLine]) -> None:
    """Name the lines over the picture, by those of one panel, which may lack some."""
    handles = {str(handle.get_label()): handle for handle in axis.get_legend_handles_labels()[0]}
    names = [name for name in (*(drawable(line.name) for line in lines), TOLERATED) if name in handles]
    figure.legend([handles[name] for name in names], names, loc="outside upper left", ncols=4, frameon=False)


def _domains(lines: Sequence[FrontierLine]) -> list[tuple[str, str]]:
    """List the domains of all lines: text first, by name."""
    return sorted({place for line in lines for place in line.domains}, key=lambda place: (place[1] != "text", place))


def _worst(axis: Axes, lines: Sequence[FrontierLine]) -> None:
    """Draw the largest of loss over tolerance."""
    highest = 0.0
    for at, line in enumerate(lines):
        values = 100 * line.worst
        _draw(axis, line.removed, values, at, len(lines), label=drawable(line.name))
        within = [point.judgements[line.judge].verdict == "within" for point in line.points]
        _dots(axis, line, values[0], within, at, size=6.5)
        highest = max(highest, float(np.nanmax(values)))
        _answer(axis, line, at)
    axis.axhline(100, color=LIMIT, lw=1.3, ls=(0, (6, 3)), label=TOLERATED)
    axis.set_ylim(0, min(max(1.08 * highest, 125.0), 100 * FARTHEST))
    axis.set_xlim(0, None)
    axis.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    axis.xaxis.set_major_locator(MaxNLocator(9, steps=STEPS))
    axis.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axis.set_ylabel("worst group's loss,\nof what it may lose", fontsize=9)
    bare(axis, "both")
    axis.tick_params(labelsize=8.5)


def _draw(axis: Axes, x: np.ndarray, values: np.ndarray, at: int, count: int, **look: Any) -> None:
    """Draw one line and its intervals."""
    colour = PATTERNS[at % len(PATTERNS)]
    axis.plot(x, values[0], color=colour, lw=2.0 if at == 0 else 1.4, zorder=5 - 0.1 * at, **look)
    if count <= BANDS:
        axis.fill_between(x, values[1], values[2], color=colour, alpha=0.16 if at == 0 else 0.10, lw=0, zorder=1)
    else:
        axis.vlines(x, values[1], values[2], color=colour, lw=1.2, alpha=0.6, zorder=2)


def _dots(
    axis: Axes,
    line: FrontierLine,
    values: np.ndarray,
    within: Sequence[bool],
    at: int,
    size: float,
    gid: str = "worst",
) -> None:
    """Draw the points: filled where they are within what is tolerated.

    A point carries the id ``point:NAME:...``, by which the page knows it.
    """
    colour = PATTERNS[at % len(PATTERNS)]
    for point, value, filled in zip(line.points, values[1:], within, strict=True):
        if np.isnan(value):  # a point that has no such domain
            continue
        (dot,) = axis.plot(
            [point.removed], [value], MARKS[at % len(MARKS)], ms=size, mew=0.24 * size, zorder=7 - 0.1 * at
        )
        dot.set(color=colour, markerfacecolor=colour if filled else PAPER, gid=f"point:{point.name}:{gid}:{at}")


def _answer(axis: Axes, line: FrontierLine, at: int) -> None:
    """Say how much can go, at a mark on the axis."""
    point = next((point for point in line.points if point.name == line.answer), None)
    if point is None:
        return
    colour = PATTERNS[at % len(PATTERNS)]
    high = point.judgements[line.judge].high
    axis.vlines(point.removed, 0, 100 * (high or point.judgements[line.judge].measured), color=colour, lw=1.0, ls=":")
    axis.annotate(
        f"{point.removed:.1%} can go",
        (point.removed, 0),
        (3 if at == 0 else -3, 5 + 12 * at),
        textcoords="offset points",
        ha="left" if at == 0 else "right",
        color=colour,
        fontsize=9,
        fontweight="bold",
    )


def _panels(
    figure: Figure, grid: Any, across: int, domains: Sequence[tuple[str, str]], lines: Sequence[FrontierLine]
) -> None:
    """Draw a panel for every domain, in the unit of its loss; panels of one kind reach equally far."""
    first: dict[str, Axes] = {}
    for number, (domain, kind) in enumerate(domains):
        row, column = divmod(number, across)
        axis = figure.add_subplot(grid[1 + row, column], sharey=first.get(kind))
        own = first.setdefault(kind, axis) is axis
        _panel(axis, domain, kind, lines)
        if own:
            axis.set_ylim(0, _reach(kind, domains, lines))
        if own or column == 0:
            axis.set_ylabel(UNITS[kind], fontsize=7.5, color=FAINT)
        axis.tick_params(labelleft=own or column == 0)


def _panel(axis: Axes, domain: str, kind: str, lines: Sequence[FrontierLine]) -> None:
    tolerances: dict[float, None] = {}
    for at, line in enumerate(lines):
        found = line.domain(domain, kind)
        if found is not None:
            _draw(axis, line.removed, found, at, len(lines), label=drawable(line.name))
            tolerance = line.domains[domain, kind] * scale_of(kind)
            known = [line.has_interval(point, domain, kind) for point in line.points]
            within = [has and bool(high <= tolerance) for has, high in zip(known, found[2, 1:], strict=True)]
            _dots(axis, line, found[0], within, at, size=3.6, gid=f"{domain}:{kind}")
            tolerances[tolerance] = None
    for tolerance in tolerances:
        axis.axhline(tolerance, color=LIMIT, lw=1.1, ls=(0, (6, 3)), label=TOLERATED)
        place: dict[str, Any] = {"xycoords": axis.get_yaxis_transform(), "textcoords": "offset points"}
        axis.annotate(f"{tolerance:.3g}", (0, tolerance), (3, 2), color=LIMIT, fontsize=7, **place)
    axis.set_title(short(domain), fontsize=8.5, loc="left", pad=4)
    axis.set_xlim(0, None)
    axis.xaxis.set_major_locator(MaxNLocator(4, steps=STEPS))
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    bare(axis, "both")
    axis.tick_params(labelsize=7, labelcolor=FAINT)


def _reach(kind: str, domains: Sequence[tuple[str, str]], lines: Sequence[FrontierLine]) -> float:
    """Find how far the panels of a kind reach: what was measured, or a few times what is tolerated."""
    tolerated = max(line.domains[place] for line in lines for place in line.domains if place[1] == kind) * scale_of(
        kind
    )
    found = [line.domain(*place) for place in domains if place[1] == kind for line in lines]
    highest = max(float(np.nanmax(each)) for each in found if each is not None)
    return min(max(1.08 * highest, 1.25 * tolerated), FARTHEST * tolerated)
