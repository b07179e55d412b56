"""The map of the clusters, coloured by what each of them lost."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from calibration import CalibrationSet
from calibration.visible import drawable
from evop.auditing.audit_file import AuditFile
from evop.report.needs_plot import SCALE
from evop.report.style import colour_bar, new_figure

COLUMNS = 4


def map_figure(calibration: CalibrationSet, audit: AuditFile, kind: str) -> Figure:
    """Draw one panel per domain: its audited passages where they lie, the redder, the more their cluster lost.

    Args:
        calibration: the set that was audited.
        audit: the audit; its first pattern is shown.
        kind: ``text``, or ``item`` for questions.
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
        audited = [i for i, passage in enumerate(calibration.passages) if passage.domain == domain and
                   passage.group in excess and passage.split in audit.splits]  # fmt: skip
        x, y = calibration.positions[audited].T
        colour = [excess[calibration.passages[i].group] for i in audited]
        shown = axis.scatter(x, y, c=colour, cmap=SCALE, vmin=0, vmax=largest, s=14, lw=0)
        axis.set_title(drawable(domain), fontsize=8.5)
    for axis in panels.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[["top", "right", "left", "bottom"]].set_visible(False)
    if shown is not None:
        colour_bar(figure, shown, panels, "lost, nats per token" if kind == "text" else "lost, share of the questions")
    return figure
