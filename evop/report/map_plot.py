"""The map of the clusters, coloured by what each of them lost."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from calibration import CalibrationSet
from evop.auditing.audit_file import AuditFile
from evop.report.needs_plot import SCALE
from evop.report.style import colour_bar, new_figure

COLUMNS = 4


def map_figure(calibration: CalibrationSet, audit: AuditFile, kind: str) -> Figure:
    """A panel a domain: its audited passages where they lie, the redder, the more their cluster lost.

    Args:
        calibration: the set that was audited.
        audit: of the first pattern.
        kind: ``text`` or ``item``.
    """
    first = audit.patterns[0].name
    losses = [row for row in audit.groups if (row.pattern, row.kind) == (first, kind)]
    excess = {row.group: row.excess for row in losses}
    domains = list(dict.fromkeys(row.domain for row in losses))
    columns = min(COLUMNS, len(domains))
    rows = math.ceil(len(domains) / columns)
    figure = new_figure(8.6, 0.5 + 2.05 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    largest = max(1e-6, *excess.values())
    shown = None
    for axis, domain in zip(panels.flat, domains, strict=False):
        mine = [i for i, p in enumerate(calibration.passages) if p.domain == domain and p.group in excess and
                p.split in audit.splits]  # fmt: skip
        x, y = calibration.positions[mine].T
        colour = [excess[calibration.passages[i].group] for i in mine]
        shown = axis.scatter(x, y, c=colour, cmap=SCALE, vmin=0, vmax=largest, s=9, lw=0)
        axis.set_title(domain, fontsize=8.5)
    for axis in panels.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[["top", "right", "left", "bottom"]].set_visible(False)
    if shown is not None:
        colour_bar(figure, shown, panels, "lost, nats a token" if kind == "text" else "lost, share of the items")
    return figure
