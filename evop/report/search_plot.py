"""The search: how good its best pattern was after how many tokens, and which group was the worst when."""

from __future__ import annotations

from matplotlib.figure import Figure

from evop.report.style import FAINT, PATTERNS, bare, new_figure, short
from evop.report.trace import Trace

OFTEN = 4
"""So many times what the answer lost is drawn; a beginning that lost more leaves the picture."""
LATE = 0.65
"""From here on, as a share of the width, a name stands left of its dot."""
ABOVE, BELOW = 5, -12
"""Where a name stands, by turns, so that two that follow each other soon do not lie on each other; in points."""


def search_figure(trace: Trace, labels: dict[str, str], unit: str, measured: float | None) -> Figure:
    """A step line down to the answer; a dot with the worst group's name wherever another group became the worst.

    Args:
        trace: of the search.
        labels: group key -> what a person reads.
        unit: of the excess.
        measured: what the audit found in the group that the search claims to be its worst.
    """
    steps = trace.steps
    figure = new_figure(8.6, 3.3)
    axis = figure.subplots()
    tokens = [step.tokens / 1e6 for step in steps]
    worst = [step.worst[1] for step in steps]
    end = max(trace.tokens / 1e6, tokens[-1])
    axis.step([*tokens, end], [*worst, worst[-1]], where="post", color=PATTERNS[0], lw=1.8)
    changes = [i for i, step in enumerate(steps) if i == 0 or step.worst[0] != steps[i - 1].worst[0]]
    top = max(min(max(worst), OFTEN * worst[-1]), measured or 0, 1e-3)
    for number, i in enumerate(i for i in changes if worst[i] <= top):
        group, excess = steps[i].worst
        late = tokens[i] > LATE * end
        axis.plot([tokens[i]], [excess], "o", ms=4.5, color=PATTERNS[0])
        axis.annotate(
            short(labels.get(group, group)), (tokens[i], excess), (-5 if late else 5, BELOW if number % 2 else ABOVE),
            textcoords="offset points", ha="right" if late else "left", fontsize=7.5, color=FAINT,
        )  # fmt: skip
    if measured is not None:
        axis.axhline(measured, color=PATTERNS[1], lw=1.2, ls="--")
        axis.annotate(
            "measured on audit, in the group claimed to be the worst", (0, measured), (4, BELOW),
            textcoords="offset points", fontsize=8, color=PATTERNS[1],
        )  # fmt: skip
    axis.set_ylim(min([0.0, *worst]), 1.12 * top)
    axis.set_xlim(0, end * 1.02)
    axis.set_xlabel("tokens scored by the search, millions")
    axis.set_ylabel(f"worst group's excess, {unit}")
    bare(axis, "both")
    return figure
