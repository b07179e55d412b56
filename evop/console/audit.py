"""An audit: who pays."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evop.auditing.audit_file import AuditFile, GroupRow
from evop.console.harness import harness_table
from evop.console.items import item_table
from evop.console.tables import interval_of, new_table


def print_audit(console: Console, audit: AuditFile) -> None:
    """Who pays: a row a group, then worst, 90th percentile and mean, then claimed beside measured."""
    kinds = {row.kind for row in audit.groups}
    if "text" in kinds:
        console.print(_group_table(audit))
    if "item" in kinds:
        console.print(item_table(audit))
    if audit.harness:
        console.print(harness_table(audit))
    console.print(_summary_table(audit))
    labels = {row.group: row.label for row in audit.groups}
    for pattern in audit.patterns:
        if pattern.claim and pattern.claimed_group_on_audit is not None:
            claimed = pattern.claim.worst_group
            kind = next(row.kind for row in audit.groups if row.group == claimed)
            rows = (r for r in audit.summary if (r.pattern, r.split, r.kind) == (pattern.name, "audit", kind))
            own, what = next(rows), "tokens" if kind == "text" else "items"
            console.print(
                f"{pattern.name}: claimed {pattern.claim.select_excess[claimed]:.4f} for its worst "
                f"group ({labels[claimed]}); measured on audit, {own.equal_count:,} {what} a group: "
                f"{pattern.claimed_group_on_audit:.4f} there, {own.equal_worst:.4f} in audit's own worst group "
                f"({labels[own.equal_worst_group]})",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def _group_table(audit: AuditFile) -> Table:
    table = new_table("excess loss over the dense model, nats a token")
    table.caption = escape(f"[low, high]: {audit.interval}; [–] where a group is one document")
    table.caption_justify = "left"
    table.add_column("group", overflow="fold", min_width=24)
    for name in ("docs", "tokens", "dense ppl"):
        table.add_column(name, justify="right")
    for pattern in audit.patterns:
        table.add_column(escape(f"{pattern.name} ppl"), justify="right")
        table.add_column(escape("excess [low, high]"), justify="right", no_wrap=True)
    found = {(row.pattern, row.split, row.group): row for row in audit.groups}
    first = audit.patterns[0].name
    for split in (split for split in audit.splits if "text" in audit.kinds(split)):
        table.add_section()
        table.add_row(f"[bold]{split}[/bold]")
        mine = [row for row in audit.groups if (row.split, row.pattern, row.kind) == (split, first, "text")]
        for row in sorted(mine, key=lambda row: -row.excess):
            cells = [cell for pattern in audit.patterns for cell in _cells(found[pattern.name, split, row.group])]
            table.add_row(
                escape(row.label), str(row.documents), f"{row.tokens:,}", f"{row.dense_perplexity:.1f}", *cells
            )
    return table


def _cells(row: GroupRow) -> tuple[str, str]:
    return f"{row.perplexity:.1f}", escape(f"{row.excess:.3f} {interval_of(row.low, row.high)}")


def _summary_table(audit: AuditFile) -> Table:
    table = new_table("over the groups of a split")
    table.caption = (
        "removed: of block parameters / all parameters / FLOPs a token / KV-cache bytes a token (at 2,048 tokens)"
        + (" / predicted time" if any(pattern.reached.latency is not None for pattern in audit.patterns) else "")
    )
    table.caption_justify = "left"
    for name in ("split", "of", "pattern"):
        table.add_column(name)
    for name in ("removed", escape("worst [low, high]"), "p90", "mean", "gap of the worst to the best pattern's"):
        table.add_column(name, justify="right")
    reached = {pattern.name: pattern.reached for pattern in audit.patterns}
    for row in audit.summary:
        gap = "best" if row.pattern == row.against else f"{row.gap:.3f} {interval_of(row.gap_low, row.gap_high)}"
        gap += " (a tie)" if row.tie else ""
        worst = f"{row.worst:.3f} {interval_of(row.worst_low, row.worst_high)}"
        gone = reached[row.pattern]
        removed = " / ".join(f"{100 * part:.1f}" for part in gone.model_dump().values()) + "%"
        cells = (removed, escape(worst), f"{row.p90:.3f}", f"{row.mean:.3f}", escape(gap))
        table.add_row(row.split, "text" if row.kind == "text" else "items", escape(row.pattern), *cells)
    return table
