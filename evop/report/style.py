"""How the report's pictures look: one hand for all, in colours that follow the page into the dark."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibration.visible import drawable

FAINT, GRID = "#6b6f76", "#d9dbde"
DENSE, RANDOM = "#8a8f98", "#b0a48f"
PATTERNS = ("#0b62a4", "#c1440e", "#3b7d2e", "#7b4a9e", "#a07a01", "#0f8585", "#c2418f", "#6f4e37")
"""The first five are told apart by colour-blind readers too; a ninth pattern begins anew."""
LIMIT, PAPER = "#b3261e", "#fefefe"
"""The colour of what is tolerated; that of nothing, where a mark is hollow."""
LONGEST = 40
"""Letters of a group's name in a picture at most."""
VARIABLES = {
    FAINT: "--faint",
    GRID: "--grid",
    DENSE: "--dense",
    RANDOM: "--random",
    LIMIT: "--bad",
    PAPER: "--card",
    **{colour: f"--pattern-{i}" for i, colour in enumerate(PATTERNS)},
}
"""Colour in a picture -> the page's variable that takes its place, so that light and dark are one picture."""
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",  # words stay words: they can be searched and copied
    "svg.hashsalt": "evop",
}


def colours(names: list[str], randoms: Sequence[str] = ()) -> dict[str, str]:
    """Choose one colour per pattern, in order; random patterns share one.

    Args:
        names: the names of the patterns.
        randoms: the names of random patterns.
    """
    return {name: PATTERNS[i % len(PATTERNS)] for i, name in enumerate(names)} | dict.fromkeys(randoms, RANDOM)


def line_height(patterns: int) -> float:
    """Find the inches per group at which the dots of its patterns do not lie on each other."""
    return max(0.25, 0.065 * patterns)


def new_figure(width: float, height: float) -> Figure:
    """Make an empty picture; width and height in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def bare(axis: Axes, grid: Literal["both", "x", "y"] = "x") -> None:
    """Take the frame away and draw faint lines across."""
    axis.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axis.tick_params(length=0)
    axis.grid(axis=grid, color=GRID, lw=0.7)
    axis.set_axisbelow(True)


def colour_bar(figure: Figure, image: Any, axes: Any, label: str, extend: str = "neither") -> None:
    """Draw beside a picture what its colours mean.

    Args:
        figure: the picture.
        image: the coloured part of it.
        axes: the panel of that part, or all of them.
        label: the meaning of the numbers.
        extend: ``max`` where some numbers are beyond the last colour.
    """
    bar = figure.colorbar(image, ax=axes, pad=0.01, extend=extend, fraction=0.03, aspect=30, shrink=0.6)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, colors=FAINT, labelsize=7.5)
    bar.set_label(label, fontsize=8)


def short(label: str) -> str:
    """Shorten a group's name to where there is little room; tables have all of it."""
    return drawable(label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…")


def svg(figure: Figure, label: str) -> str:
    """Write a picture as it stands in the page.

    Args:
        figure: the picture.
        label: what it shows, for those who cannot see it.
    """
    stream = io.StringIO()
    with rc_context(_RC):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', text).group(1))  # type: ignore[union-attr]
    head = f'<svg role="img" aria-label="{label}" style="--natural: {width * 4 / 3:.0f}px" '
    return re.sub(r'<svg (?:height="[^"]*" )?', lambda _: head, text, count=1).replace(' width="', ' data-width="', 1)
