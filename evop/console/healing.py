"""A healing on its way, and what came back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import fmean

from evop.console.plain import PlainConsole
from evop.console.tables import new_table
from evop.console.watching import time_left_words, watching_lines
from evop.stages.heal import HealResult
from evop.stages.heal_progress import HealProgress, HealWatch

WHY = {
    "tolerate": "every group is surely within --tolerate",
    "patience": "the worst group did not get better any more",
    "tokens": "the tokens ended",
}


@contextmanager
def watching_healing(console: PlainConsole) -> Iterator[HealWatch]:
    """Show a live line of progress on a terminal, plain lines elsewhere."""
    with watching_lines(console) as show:
        yield lambda progress: show("healing", _line(progress))


def _line(progress: HealProgress) -> str:
    line = (
        f"{progress.tokens:,} tokens ({progress.share:.0%}) · worst group {progress.worst_group} {progress.worst:.4f}"
    )
    if progress.seconds_left is not None:
        line += f" · {time_left_words(*progress.seconds_left)} left"
    return line


def print_healed(console: PlainConsole, result: HealResult) -> None:
    """Print what each group lost before and after, and over which tokens it came back."""
    file = result.file
    table = new_table("excess on select, nats per token")
    table.add_column("group")
    points = sorted({0, len(file.curve) // 4, len(file.curve) // 2, file.curve.index(file.best)})
    for at in points:
        table.add_column(f"{file.curve[at].tokens:,}", justify="right")
    start = file.curve[0].excess
    for group in sorted(start, key=lambda group: -start[group]):
        table.add_row(result.labels[group], *(f"{file.curve[at].excess[group]:+.4f}" for at in points))
    console.print(table)
    before, after = list(start.values()), list(file.best.excess.values())
    console.print(
        f"worst {max(before):.4f} -> {max(after):.4f}, mean {fmean(before):.4f} -> {fmean(after):.4f}, on select, by "
        f"which the weights after {file.best_at:,} tokens were chosen; stopped after {file.tokens:,}: "
        f"{WHY[file.stopped]}",
        highlight=False,
        soft_wrap=True,
    )
    if file.best_at == 0:
        console.print("nothing that was learned was better than the start: the weights are those of the pruned model")
    console.print(f"checkpoint: {result.folder}   curve: {result.folder / 'heal.json'}", soft_wrap=True)
