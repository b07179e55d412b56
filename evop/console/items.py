"""Questions with choices as the command line prints them: who answers worse, for more than chance."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from evop.auditing.audit_file import AuditFile, GroupRow
from evop.console.tables import new_table

SHOWN = 30
"""Groups of a split that are printed; the rest stands in ``audit.csv``."""


def item_table(audit: AuditFile) -> Table:
    """A row a group of items, those that lost most under the first pattern on top."""
    table = new_table(f"items answered rightly ({audit.metric})")
    table.caption = escape(
        "in percent of the items; [low, high]: 95%, Wilson's of an accuracy, paired bootstrap of what was lost; worse: "
        "for more than chance, by the exact McNemar test, corrected for the number of groups (Holm)"
    )
    table.caption_justify = "left"
    table.add_column("group", overflow="fold", min_width=28)
    for name in ("items", escape("dense [low, high]")):
        table.add_column(name, justify="right", no_wrap=True)
    for pattern in audit.patterns:
        for name in (pattern.name, "lost [low, high]"):
            table.add_column(escape(name), justify="right", no_wrap=True)
    found = {(row.pattern, row.split, row.group): row for row in audit.groups}
    first = audit.patterns[0].name
    for split in (split for split in audit.splits if "item" in audit.kinds(split)):
        mine = [row for row in audit.groups if (row.split, row.pattern, row.kind) == (split, first, "item")]
        table.add_section()
        table.add_row(f"[bold]{split}[/bold]")
        for row in sorted(mine, key=lambda row: -row.excess)[:SHOWN]:
            cells = [cell for pattern in audit.patterns for cell in _cells(found[pattern.name, split, row.group])]
            table.add_row(escape(row.label), str(row.passages), _dense(row), *cells)
        if len(mine) > SHOWN:
            table.add_row(f"and {len(mine) - SHOWN} more: audit.csv")
    return table


def _cells(row: GroupRow) -> tuple[str, str]:
    assert row.accuracy is not None
    lost = f"{100 * row.excess:+.0f} {_interval(row.low, row.high)}{' worse' if row.worse else ''}"
    return f"{100 * row.accuracy:.0f}", escape(lost)


def _dense(row: GroupRow) -> str:
    assert row.dense_accuracy is not None
    return escape(f"{100 * row.dense_accuracy:.0f} {_interval(row.dense_accuracy_low, row.dense_accuracy_high)}")


def _interval(low: float | None, high: float | None) -> str:
    return "[–]" if low is None or high is None else f"[{100 * low:.0f}, {100 * high:.0f}]"
