"""A 2-D map of the clusters, one panel per domain, as a picture."""

import io
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from calibration.passage import Group, Passage
from calibration.visible import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by colour-blind readers too; then two more.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7A5195", "#6B6B6B")
_COLUMNS = 4


def draw_clusters(groups: Sequence[Group], passages: Sequence[Passage], positions: np.ndarray) -> bytes:
    """Draw the map as PNG: one panel per domain, one colour per cluster, held-out clusters hollow, names in a legend.

    Args:
        groups: the groups to draw, domain by domain.
        passages: the passages of these groups; those of others are left out.
        positions: position of each passage on the map of its domain, float32 ``[passages, 2]``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    domains = list(dict.fromkeys(group.domain for group in groups))
    columns = min(len(domains), _COLUMNS)
    rows = math.ceil(len(domains) / columns)
    figure = Figure(figsize=(4.2 * columns, 4.6 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis, domain in zip(axes, domains, strict=False):
        _draw_domain(axis, [group for group in groups if group.domain == domain], passages, positions)
    for axis in list(axes)[len(domains) :]:
        axis.set_axis_off()
    figure.suptitle(
        "Clusters of each domain (stored passages, first two principal components; hollow = held out as unseen)",
        fontsize=11,
    )
    stream = io.BytesIO()
    with warnings.catch_warnings():  # a term in a script the font lacks is drawn as boxes; its number stands beside it
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _draw_domain(axis: "Axes", groups: Sequence[Group], passages: Sequence[Passage], positions: np.ndarray) -> None:
    """Draw the groups of one domain into its panel."""
    for group in groups:
        members = [i for i, p in enumerate(passages) if p.group == group.key]
        x, y = positions[members].T
        colour = _COLOURS[group.cluster % len(_COLOURS)]
        face = "none" if group.unseen else colour
        axis.scatter(x, y, s=16, facecolors=face, edgecolors=colour, linewidths=0.9, alpha=0.8, label=_legend(group))
    axis.set_title(drawable(groups[0].domain), fontsize=11, fontweight="bold")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), fontsize=7.5, frameon=False, handletextpad=0.3)


def _legend(group: Group) -> str:
    """Word the line of a group in the legend; the domain stands above the panel."""
    label = drawable(f"{group.cluster} {group.name}")
    return f"{label} (held out)" if group.unseen else label
