"""Tasks of lm_eval as the command line prints them."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from evop.auditing.audit_file import AuditFile
from evop.auditing.harness_rows import ALL
from evop.console.tables import interval_of, new_table


def harness_table(audit: AuditFile) -> Table:
    """A row a pattern, task, metric and group; the whole task first, then who lost most."""
    table = new_table("tasks of lm_eval")
    table.caption = escape(
        "change [low, high]: pruned less dense, 95% paired bootstrap over samples; worse: for more than chance, by the "
        "exact McNemar test, corrected for the number of the task's groups (Holm)"
    )
    table.caption_justify = "left"
    for name in ("group", "pattern", "metric"):
        table.add_column(name, overflow="fold")
    for name in ("n", "dense", "pruned", escape("change [low, high]")):
        table.add_column(name, justify="right", no_wrap=True)
    alike: dict[tuple[str, str, str], list[int]] = {}
    for i, row in enumerate(audit.harness):
        alike.setdefault((row.pattern, row.task, row.metric), []).append(i)
    for mine in alike.values():
        rows = sorted((audit.harness[i] for i in mine), key=lambda row: (row.group != ALL, row.pruned - row.dense))
        table.add_section()
        for row in rows:
            change = f"{row.pruned - row.dense:+.3f} {interval_of(row.low, row.high)}{' worse' if row.worse else ''}"
            cells = (str(row.n), f"{row.dense:.3f}", f"{row.pruned:.3f}", escape(change))
            table.add_row(escape(row.label), escape(row.pattern), escape(row.metric), *cells)
    return table
