"""A calibration set, one row per group."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from calibration import CalibrationSet, describe
from evop.console.tables import new_table


def print_set(console: Console, calibration: CalibrationSet) -> None:
    """Print what is in a calibration set."""
    table = new_table(f"calibration set {calibration.fingerprint[:12]}")
    for name in ("group", "search", "select", "audit", "unseen", "tokens (est.)"):
        table.add_column(name, justify="left" if name == "group" else "right", overflow="fold")
    domain = None
    for row in describe(calibration):
        if domain not in (None, row["domain"]):
            table.add_section()
        domain = row["domain"]
        counts = [str(row[split] or "·") for split in ("search", "select", "audit", "unseen")]
        label = f"{row['domain']}/{row['cluster']} {row['name']}"
        table.add_row(escape(label) + (" (held out)" if row["held_out"] else ""), *counts, f"{row['tokens']:,}")
    console.print(table)
    for note in calibration.manifest.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
