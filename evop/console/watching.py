"""A search on its way: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.live import Live

from evop.console.plain import PlainConsole
from evop.searching.progress import Progress, Watch

PLAIN_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""


@contextmanager
def watching(console: PlainConsole) -> Iterator[Watch]:
    """Show the progress of a search."""
    with watching_lines(console) as show:
        yield lambda progress: show(progress.stage, _line(progress))


@contextmanager
def watching_lines(console: PlainConsole) -> Iterator[Callable[[str, str], None]]:
    """Show a live line on a terminal, plain lines elsewhere: the first of a stage, then one now and then.

    Gives a function that takes the stage and the line.
    """
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            yield lambda stage, line: live.update(line)
        return
    last, at = "", 0.0

    def plain(stage: str, line: str) -> None:
        nonlocal last, at
        now = time.monotonic()
        if stage != last or now - at > PLAIN_EVERY:
            last, at = stage, now
            console.print(line, highlight=False, soft_wrap=True)

    yield plain


def _line(progress: Progress) -> str:
    words = {
        "loading": "loading the model",
        "importance": "ranking units",
        "statistics": "gathering what metrics read",
        "moments": "gathering what levels are refitted by",
        "dense": "measuring the dense model",
        "timing": "timing the answer beside the dense model",
        "selecting": f"{progress.evaluations} evaluations; measuring the finalists on select",
    }
    if progress.stage in words:
        return words[progress.stage]
    line = f"{progress.evaluations} evaluation{'' if progress.evaluations == 1 else 's'}"
    if progress.share is not None:
        line += f" ({progress.share:.0%})"
    if progress.best is not None and progress.worst is not None:
        best = f"{progress.best:.0%} of what is tolerated" if progress.in_tolerances else f"{progress.best:.4f}"
        line += f" · best {best} · its worst group {progress.worst_group} {progress.worst:.4f}"
    if progress.seconds_left is not None:
        line += f" · {time_left_words(*progress.seconds_left)} left"
    return line


def time_left_words(least: float, most: float) -> str:
    """Say a range of seconds in the unit that suits it, as no more than one number where it rounds to one."""
    unit, name, places = (1, "s", 0) if most < 120 else (60, "min", 0) if most < 7200 else (3600, "h", 1)
    low, high = (f"{seconds / unit:.{places}f}" for seconds in (least, most))
    return f"{high} {name}" if low == high else f"{low} to {high} {name}"
