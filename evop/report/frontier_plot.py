"""The frontier as a picture: what the worst group pays against what is removed, one line per strategy."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from calibration.visible import drawable
from evop.report.domain_panels import ACROSS, PANEL, draw_panels, mark_beyond, places_of, within_reach
from evop.report.naming import model_title
from evop.report.style import PATTERNS, RANDOM
from evop.searching.frontier_file import REACHED, WORDS

LOST = {
    "text": ("worst audited group's excess loss, nats per token", "text never searched"),
    "item": ("worst audited group's right answers lost, share of the questions", "questions never searched"),
}
"""Kind of groups -> what is drawn, and what it was measured on."""
LEAST = 0.01
"""The picture reaches so far above zero at least: it may be that no search lost anything."""
OFTEN = 2
"""A random pattern is drawn up to so many times what the searches reach."""
APART = 0.006
"""The distance between the bars of two strategies at one budget, as a share of the width of the picture."""
BELOW = "below, every domain: its group that loses most; with 95%, the bars of all domains of a pattern hold at once"
LONE = 0.1
"""The width of the picture, as a share of what is removed, where all searches remove as much."""


def draw_frontier(frame: pd.DataFrame, path: Path, domains: pd.DataFrame | None = None) -> None:
    """Draw audited searches: one dot per search with its interval, a line through the medians over seeds.

    Args:
        frame: the frame that ``compare`` made, over one model and calibration set; rows without an audit are left
            out. Where budgets count several costs, or different ones, what is drawn is the blocks' parameters.
        path: the PNG to write.
        domains: what every domain loses (``domain_frame``): a panel for each under the picture; None for none.
    """
    runs = frame[frame["audit_worst"].notna()]
    costs = {REACHED.get(cost, "block_params"): WORDS.get(cost, WORDS["params"]) for cost in runs["cost"]}
    counted, words = next(iter(costs.items())) if len(costs) == 1 else ("block_params", WORDS["params"])
    runs = _named(runs, counted)
    places = [] if domains is None else places_of(domains)
    rows = -(-len(places) // ACROSS)
    figure = Figure(figsize=(8, 5 + PANEL * rows), dpi=130, layout="constrained")
    grid = figure.add_gridspec(1 + rows, min(ACROSS, max(len(places), 1)), height_ratios=[5, *[PANEL] * rows])
    axis = figure.add_subplot(grid[0, :])
    strategies = sorted(runs["strategy"].unique())
    colour = {strategy: PATTERNS[at % len(PATTERNS)] for at, strategy in enumerate(strategies)}
    apart = (runs["removed"].max() - runs["removed"].min()) or LONE * runs["removed"].max()
    _random(axis, runs)
    for at, strategy in enumerate(strategies):
        shift = (at - (len(strategies) - 1) / 2) * APART * apart
        _line(axis, runs[runs["strategy"] == strategy], strategy, colour[strategy], shift)
    if domains is not None and places:
        draw_panels(figure, grid, _named(domains, counted), colour, 3 * APART * apart)
        figure.supxlabel(BELOW, fontsize=9)
    axis.set_xlabel(f"removed of {words}")
    axis.set_ylabel(LOST[runs["audit_kind"].iloc[0]][0])
    axis.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axis.set_ylim(*_limits(runs))
    mark_beyond(axis, runs, runs["audit_worst"], colour)
    axis.grid(color="#e6e6e6", lw=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_title(drawable(_title(runs)), loc="left", fontsize=9)
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=min(6, len(names)), frameon=False)
    figure.savefig(path)


def _named(runs: pd.DataFrame, counted: str) -> pd.DataFrame:
    """Say of every row what it removes of what is counted, and how it was found and recovered."""
    after = runs["recovery"].map(lambda recovery: "" if recovery == "none" else f", {recovery}")
    return runs.assign(removed=runs[counted], strategy=runs["strategy"] + after)


def _line(axis: Axes, runs: pd.DataFrame, name: str, colour: str, shift: float) -> None:
    middle = runs.groupby("budget")[["removed", "audit_worst"]].median()
    axis.plot(middle["removed"] + shift, middle["audit_worst"], color=colour, lw=1.8, label=name, zorder=3)
    axis.scatter(runs["removed"] + shift, runs["audit_worst"], s=20, color=colour, zorder=4)
    low, high = (
        runs["audit_low"].fillna(runs["audit_worst"]),
        runs["audit_high"].fillna(runs["audit_worst"]),
    )
    axis.vlines(runs["removed"] + shift, low, high, color=colour, lw=1.2, alpha=0.6, zorder=2)


def _random(axis: Axes, runs: pd.DataFrame) -> None:
    middle = runs.groupby("budget")[["removed", "random_worst"]].median().dropna()
    if len(middle):
        (line,) = axis.plot(middle["removed"], middle["random_worst"], label="random patterns, median", zorder=1)
        line.set(color=RANDOM, linewidth=1.2, linestyle="--", marker="o", markersize=4)


def _limits(runs: pd.DataFrame) -> tuple[float, float]:
    """Find the ends of the picture: zero and what the searches reach; random patterns and ruin far above leave it."""
    searched = runs[["audit_worst", "audit_low", "audit_high"]]
    tops = searched.max(axis=1)
    low, high = float(searched.min().min()), float(tops[within_reach(runs, tops)].max())
    random = float(runs["random_worst"].max())
    top = high if pd.isna(random) else max(high, min(random, OFTEN * high))
    return min(0.0, low), max(1.05 * top, LEAST)


def _title(runs: pd.DataFrame) -> str:
    model = model_title(str(runs["model"].iloc[0]))
    seeds = runs["seed"].nunique()
    lines = f"line: median over {seeds} seeds, dot: a search" if seeds > 1 else "dot: a search"
    return f"{model}, {LOST[runs['audit_kind'].iloc[0]][1]} ({lines}; bar: 95% interval)"
