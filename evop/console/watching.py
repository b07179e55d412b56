"""A search on its way: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from evop.searching.progress import Progress, Watch

PLAIN_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""


@contextmanager
def watching(console: Console) -> Iterator[Watch]:
    """Show a live line of progress on a terminal, plain lines elsewhere."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            yield lambda progress: live.update(_line(progress))
        return
    stage, at = "", 0.0

    def plain(progress: Progress) -> None:
        nonlocal stage, at
        now = time.monotonic()
        if progress.stage != stage or now - at > PLAIN_EVERY:
            stage, at = progress.stage, now
            console.print(_line(progress), highlight=False, soft_wrap=True)

    yield plain


def _line(progress: Progress) -> str:
    words = {
        "loading": "loading the model",
        "importance": "ranking units",
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
        line += f" · best {progress.best:.4f} · its worst group {progress.worst_group} {progress.worst:.4f}"
    if progress.seconds_left is not None:
        line += f" · {_left(*progress.seconds_left)} left"
    return line


def _left(least: float, most: float) -> str:
    """Say a range of seconds in the unit that suits it, as no more than one number where it rounds to one."""
    unit, name, places = (1, "s", 0) if most < 120 else (60, "min", 0) if most < 7200 else (3600, "h", 1)
    low, high = (f"{seconds / unit:.{places}f}" for seconds in (least, most))
    return f"{high} {name}" if low == high else f"{low} to {high} {name}"
