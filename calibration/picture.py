"""A 2-D map of the clusters, a panel a domain, as a picture."""

import io
import math
import warnings
from typing import TYPE_CHECKING

from calibration.passage import Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from calibration.calibration_set import CalibrationSet

# Okabe and Ito's colours, told apart by colour-blind readers too; then two more.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7A5195", "#6B6B6B")
_COLUMNS = 4


def draw_clusters(calibration_set: "CalibrationSet") -> bytes:
    """The map as PNG: a panel a domain, a colour a cluster, held-out clusters hollow, names in the legend."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    domains = [entry.name for entry in calibration_set.manifest.domains if entry.kind != "continuation"]
    columns = min(len(domains), _COLUMNS)
    rows = math.ceil(len(domains) / columns)
    figure = Figure(figsize=(4.2 * columns, 4.6 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis, domain in zip(axes, domains, strict=False):
        _draw_domain(axis, calibration_set, domain)
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


def _draw_domain(axis: "Axes", calibration_set: "CalibrationSet", domain: str) -> None:
    groups = [group for group in calibration_set.groups if group.domain == domain]
    for group in groups:
        mine = [i for i, p in enumerate(calibration_set.passages) if p.group == group.key]
        x, y = calibration_set.positions[mine].T
        colour = _COLOURS[group.cluster % len(_COLOURS)]
        face = "none" if group.unseen else colour
        axis.scatter(x, y, s=16, facecolors=face, edgecolors=colour, linewidths=0.9, alpha=0.8, label=_legend(group))
    axis.set_title(domain, fontsize=11, fontweight="bold")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), fontsize=7.5, frameon=False, handletextpad=0.3)


def _legend(group: Group) -> str:
    label = f"{group.cluster} {group.name}"
    return f"{label} (held out)" if group.unseen else label
