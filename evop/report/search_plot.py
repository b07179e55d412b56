"""The search: how good its best pattern was after how many tokens, and which group was the worst when."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from matplotlib.figure import Figure

from evop.report.dot_names import name_dots
from evop.report.style import FAINT, PATTERNS, bare, new_figure, short
from evop.report.trace import Trace

OFTEN = 4
"""So many times what the answer lost is drawn; a beginning that lost more leaves the picture."""
MEASURED = "measured on audit, in the group claimed to be the worst"
NOTHING = "nothing that was measured in full meets the budget; the answer was completed from the ranking"
"""What the picture says of a search that was stopped before any pattern met its budget."""
UNIT_WIDTH = 34
"""Letters on one line beside the picture."""


def search_figure(trace: Trace, labels: Mapping[str, str], unit: str, measured: float | None) -> Figure:
    """Draw a step line down to the answer; a dot with the worst group's name wherever another group became the worst.

    Args:
        trace: the search.
        labels: group key -> what a person reads.
        unit: the unit of the excess.
        measured: the excess that the audit found in the group that the search claims to be its worst.
    """
    steps = trace.steps
    figure = new_figure(8.6, 3.3)
    axis = figure.subplots()
    if not steps:
        axis.set_axis_off()
        axis.text(0.5, 0.5, NOTHING, ha="center", va="center", color=FAINT, fontsize=9)
        return figure
    tokens = [step.tokens / 1e6 for step in steps]
    worst = [step.worst[1] for step in steps]
    end = max(trace.tokens / 1e6, tokens[-1])
    axis.step([*tokens, end], [*worst, worst[-1]], where="post", color=PATTERNS[0], lw=1.8)
    top = max(min(max(worst), OFTEN * worst[-1]), measured or 0, 1e-3)
    axis.set_ylim(min([0.0, *worst]), 1.12 * top)
    axis.set_xlim(0, end * 1.02)
    axis.set_xlabel("tokens scored by the search, millions")
    axis.set_ylabel(textwrap.fill(f"worst group's excess, {unit}", UNIT_WIDTH))
    bare(axis, "both")
    if measured is not None:
        axis.axhline(measured, color=PATTERNS[1], lw=1.2, ls="--", label=MEASURED)
        figure.legend(loc="outside upper left", frameon=False, fontsize=8, labelcolor=PATTERNS[1])
    changes = [i for i, step in enumerate(steps) if i == 0 or step.worst[0] != steps[i - 1].worst[0]]
    shown = [i for i in changes if worst[i] <= top]
    axis.plot([tokens[i] for i in shown], [worst[i] for i in shown], "o", ms=4.5, color=PATTERNS[0])
    line = [(x, y) for i, y in enumerate(worst) for x in (tokens[i], [*tokens, end][i + 1])]
    dots = [(tokens[i], worst[i], short(labels.get(steps[i].worst[0], steps[i].worst[0]))) for i in shown]
    name_dots(axis, dots, line, color=FAINT, fontsize=7.5)
    return figure
