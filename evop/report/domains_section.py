"""The part of the page on what every domain loses where the patterns under audit remove more and less."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from evop.auditing.audit_file import AuditFile
from evop.report.domain_panels import ACROSS, PANEL, draw_panels, places_of
from evop.report.page_parts import Picture, Section
from evop.report.style import colours, new_figure

APART = 0.02
"""Patterns that remove as much as each other, up to this share of the decoder blocks, make no such picture."""
CAPTION = (
    "A dot is the loss of the domain's group that loses most, estimated without what chance adds to a largest; colours "
    "are those of the patterns above. A bar is its interval: with 95%, those of all domains of a pattern hold at once."
)


def domains_section(audit: AuditFile) -> list[Section]:
    """Make the section; none for patterns of one size, or where the split audit is missing."""
    removed = [pattern.reached.block_params for pattern in audit.patterns]
    lines = domain_lines(audit)
    if lines.empty or max(removed) - min(removed) < APART:
        return []
    title = "What every domain loses, over what is removed"
    words = ("On new passages of the groups that were searched; across, the share of the decoder blocks' parameters.",)
    picture = Picture.of(domains_over_removed(lines, colours([row.name for row in audit.patterns])), CAPTION)
    return [Section("domains", "domains", title, words, (picture,))]


def domain_lines(audit: AuditFile) -> pd.DataFrame:
    """Lay out what every domain loses on ``audit``: one row per pattern and domain, as ``draw_panels`` takes them."""
    rows = [
        {
            "strategy": pattern.name,
            "seed": 0,
            "removed": pattern.reached.block_params,
            "budget": pattern.name,
            **row.model_dump(include={"domain", "kind", "worst", "low", "high"}),
        }
        for pattern in audit.patterns
        for row in audit.domains_of(pattern.name).values()
        if row.split == "audit"
    ]
    columns = ["strategy", "seed", "removed", "budget", "domain", "kind", "worst", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[-3:], float))


def domains_over_removed(lines: pd.DataFrame, colour: dict[str, str]) -> Figure:
    """Draw a panel for every domain, one dot with its interval per pattern."""
    places = places_of(lines)
    across = min(ACROSS, len(places))
    rows = -(-len(places) // across)
    figure = new_figure(9.6, 0.3 + PANEL * rows)
    grid = figure.add_gridspec(1 + rows, across, height_ratios=[0.001, *[PANEL] * rows])
    draw_panels(figure, grid, lines, colour, 0.0)
    return figure
