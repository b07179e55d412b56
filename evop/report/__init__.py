"""Pictures of an audit and of a search, and the page that holds them.

Every picture is a matplotlib ``Figure``: a notebook shows it, ``figure.savefig`` writes it.
"""

from evop.report.frontier_lines import FrontierLine
from evop.report.groups_plot import groups_figure
from evop.report.map_plot import map_figure
from evop.report.needs_plot import needs_figure
from evop.report.page import page
from evop.report.pattern_plot import pattern_figure
from evop.report.search_plot import search_figure
from evop.report.tolerated_plot import tolerated_figure
from evop.report.trace import Trace
from evop.report.verdict import verdict

__all__ = [
    "FrontierLine",
    "Trace",
    "groups_figure",
    "map_figure",
    "needs_figure",
    "page",
    "pattern_figure",
    "search_figure",
    "tolerated_figure",
    "verdict",
]
