"""The search: how good its best pattern was after how many tokens, and which group was the worst when."""

from __future__ import annotations

from matplotlib.figure import Figure

from evop.report.style import FAINT, PATTERNS, bare, new_figure, short
from evop.report.trace import Trace


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
    before = None
    for x, step in zip(tokens, steps, strict=True):
        if step.worst[0] != before:
            axis.plot([x], [step.worst[1]], "o", ms=4.5, color=PATTERNS[0])
            axis.annotate(
                short(labels.get(step.worst[0], step.worst[0])), (x, step.worst[1]), (5, 5), textcoords="offset points",
                fontsize=7.5, color=FAINT,
            )  # fmt: skip
            before = step.worst[0]
    if measured is not None:
        axis.axhline(measured, color=PATTERNS[1], lw=1.2, ls="--")
        axis.annotate(
            "measured on audit, in the group claimed to be the worst", (end, measured), (-4, 4),
            textcoords="offset points", ha="right", fontsize=8, color=PATTERNS[1],
        )  # fmt: skip
    axis.set_ylim(min([0.0, *worst]), 1.12 * max([*worst, measured or 0, 1e-3]))
    axis.set_xlim(0, end * 1.02)
    axis.set_xlabel("tokens scored by the search, millions")
    axis.set_ylabel(f"worst group's excess, {unit}")
    bare(axis, "both")
    return figure
