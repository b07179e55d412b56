"""Tables as evop prints them."""

from __future__ import annotations

from rich import box
from rich.table import Table


def new_table(title: str) -> Table:
    """An empty table as evop prints them."""
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def interval_of(low: float | None, high: float | None) -> str:
    """``[low, high]``, or a dash where there is none."""
    return "[–]" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"
