"""What refitting prints: what it works on, and what every way to refit came to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.live import Live

from evop.console.plain import PlainConsole
from evop.console.sheet import print_sheet
from evop.console.watching import PLAIN_EVERY
from evop.recovery.refit_file import RefitFile
from evop.report.recovery_sheet import refit_sheet


@contextmanager
def working(console: PlainConsole) -> Iterator[Callable[[str], None]]:
    """Show on one live line what is worked on; on plain lines, now and then, where there is no terminal."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield lambda line: live.update(line)
        return
    said = -PLAIN_EVERY

    def plain(line: str) -> None:
        nonlocal said
        if time.monotonic() - said > PLAIN_EVERY:
            said = time.monotonic()
            console.print(line, highlight=False, soft_wrap=True)

    yield plain


def print_refit(console: PlainConsole, file: RefitFile) -> None:
    """Print what each domain lost before and after."""
    print_sheet(console, refit_sheet(file))
