"""A calibration set, one row per group."""

from __future__ import annotations

from calibration import CalibrationSet, describe
from evop.auditing.tolerance import foreseen, warnings
from evop.console.plain import PlainConsole
from evop.console.tables import new_table
from evop.losses.tolerance import Tolerances


def print_set(console: PlainConsole, calibration: CalibrationSet, tolerances: Tolerances | None = None) -> None:
    """Print what is in a calibration set, and which losses its audit will find.

    Args:
        console: the console.
        calibration: the set.
        tolerances: what a group may lose; None for no warning.
    """
    table = new_table(f"calibration set {calibration.fingerprint[:12]}")
    rows = describe(calibration)
    learnt = any(row["train"] for row in rows)
    train = ("train", "train tokens (est.)") if learnt else ()
    for name in ("group", "search", "select", "audit", "unseen", *train, "tokens (est.)"):
        table.add_column(name, justify="left" if name == "group" else "right", overflow="fold")
    domain = None
    for group, row in zip(calibration.groups, rows, strict=True):
        if domain not in (None, row["domain"]):
            table.add_section()
        domain = row["domain"]
        counts = [str(row[split] or "·") for split in ("search", "select", "audit", "unseen")]
        if learnt:
            counts += [str(row["train"] or "·"), f"{row['train_tokens']:,}" if row["train"] else "·"]
        label = calibration.labels[group.key] + (" (held out)" if group.unseen else "")
        table.add_row(label, *counts, f"{row['tokens']:,}")
    console.print(table)
    for note in calibration.manifest.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
    found = foreseen(calibration)
    for line in (*(each.says for each in found), *warnings(found, tolerances)):
        console.print(line, highlight=False, soft_wrap=True)
