"""Names beside dots, placed so that no two of them lie on each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

ROWS = 9
"""A name is moved up or down by so many lines at most to find room."""
BESIDE, LINE = 6.0, 11.0
"""Points between a dot and its name, and between two lines of names."""
DOT = 3.0
"""Points from the middle of a dot to its edge."""
MARGIN = 2.0
"""Points that stay free around a name, for a reader whose letters are wider."""


def name_dots(
    axis: Axes, dots: Sequence[tuple[float, float, str]], line: Sequence[tuple[float, float]], **style: Any
) -> None:
    """Write a name beside every dot, as near as there is room; a thin line leads to a name that had to move away.

    Names stay inside the axes, off each other and off the dots; of the places that are left, the one that the drawn
    line crosses least is taken. A dot for which there is no room has no name.

    Args:
        axis: the axes, with their limits set and all else drawn.
        dots: x and y in the units of the data, and the name.
        line: the corners of the line that is drawn through the dots, in the units of the data.
        **style: how the names are written.
    """
    figure = axis.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout has its last word before anything is measured
    corners = axis.transData.transform(np.array(line))
    taken = [_around(axis, x, y) for x, y, _ in dots]
    for x, y, name in dots:
        mark = axis.annotate(name, (x, y), xytext=(0, 0), textcoords="offset points", va="center", **style)
        mark.set_in_layout(False)
        place = _place(axis, mark, taken, corners)
        if place is None:
            mark.remove()
            continue
        (dx, dy), box = place
        mark.set(position=(dx, dy), ha="right" if dx < 0 else "left")
        if abs(dy) > LINE:
            thin = {"arrowstyle": "-", "lw": 0.5, "color": style.get("color"), "shrinkB": 3}
            lead = axis.annotate("", (x, y), xytext=(dx, dy), textcoords="offset points", arrowprops=thin)
            lead.set_in_layout(False)
        taken.append(box)


def _place(
    axis: Axes, mark: Annotation, taken: Sequence[Bbox], corners: np.ndarray
) -> tuple[tuple[float, float], Bbox] | None:
    """Find where a name may stand: points from its dot, and the room it takes; None where there is no room."""
    scale, frame, size = axis.figure.dpi / 72, axis.get_window_extent(), mark.get_window_extent()
    x, y = axis.transData.transform(mark.xy)
    free: list[tuple[int, int, tuple[float, float], Bbox]] = []
    for dx, dy in _offsets():
        left, middle = x + dx * scale - (size.width if dx < 0 else 0), y + dy * scale
        box = Bbox.from_bounds(left, middle - size.height / 2, size.width, size.height).padded(MARGIN * scale)
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if inside and not any(box.overlaps(other) for other in taken):
            free.append((_crossings(box, corners), len(free), (dx, dy), box))
    return min(free, key=lambda spot: spot[:2])[2:] if free else None


def _offsets() -> list[tuple[float, float]]:
    """List where a name may stand, in points from its dot, the nearest first: right above, left below, and further."""
    rows = [sign * (0.7 + row) * LINE for row in range(ROWS) for sign in (1, -1)]
    return [(side * BESIDE, dy) for dy in rows for side in ((1, -1) if dy > 0 else (-1, 1))]


def _around(axis: Axes, x: float, y: float) -> Bbox:
    """Find the room that a dot takes, in pixels."""
    (across, up), radius = axis.transData.transform((x, y)), DOT * axis.figure.dpi / 72
    return Bbox.from_extents(across - radius, up - radius, across + radius, up + radius)


def _crossings(box: Bbox, corners: np.ndarray) -> int:
    """Count the pieces of a line of level and upright pieces that run through a box."""
    low, high = np.minimum(corners[:-1], corners[1:]), np.maximum(corners[:-1], corners[1:])
    return int(((low < box.max) & (high > box.min)).all(axis=1).sum())
