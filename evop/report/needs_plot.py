"""Which domain needs which layer: what every group loses when one part alone is gone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from evop.auditing.audit_rows import Needs
from evop.report.style import bare, colour_bar, new_figure, short

SCALE = LinearSegmentedColormap.from_list("needs", ["#cfccc4", "#e9b56b", "#e5661c", "#c3140b"])
MANY = 0.9
"""This share of all excesses is told apart by colour; what is larger, as where nothing can do without a part, is of
the last red, so that it does not flatten the rest."""


def needs_figure(needs: Needs, labels: Mapping[str, str]) -> Figure:
    """Draw one line per group and one column per part: the redder, the more the group loses without that part alone.

    Args:
        needs: as an audit measured them.
        labels: group key -> what a person reads.
    """
    parts, groups = needs.parts, sorted(needs.excess)
    table = np.array([needs.excess[group] for group in groups])
    unit = "nats per token" if needs.kind == "text" else "share of the questions"
    figure = new_figure(8.6, 1.3 + 0.2 * len(groups))
    axis = figure.subplots()
    largest = max(1e-6, float(np.quantile(table, MANY)))
    image = axis.imshow(table, aspect="auto", cmap=SCALE, vmin=0, vmax=largest, interpolation="nearest")
    axis.set_yticks(range(len(groups)), [short(labels.get(group, group)) for group in groups], fontsize=7.5)
    step = max(1, len(parts) // 32)
    axis.set_xticks(
        range(0, len(parts), step), [part.removeprefix("layers.") for part in parts[::step]], fontsize=7, rotation=90
    )
    bare(axis)
    axis.grid(visible=False)
    clipped = table.max() > largest
    words = f"lost, {unit}" + (f"\n(from {largest:.2g} on all one red, up to {table.max():.2g})" if clipped else "")
    colour_bar(figure, image, axis, words, extend="max" if clipped else "neither")
    return figure
