"""An audit: who pays."""

from __future__ import annotations

from dataclasses import replace

from evop.auditing.audit_file import AuditFile
from evop.console.plain import PlainConsole
from evop.console.sheet import print_sheet
from evop.report.audit_sheets import group_sheet, harness_sheet, removed_sheet, summary_sheet
from evop.report.borne import borne_words
from evop.report.recovered import recovered_rows, recovered_words
from evop.report.verdict import claimed_and_measured

MOST_QUESTIONS = 30
"""Groups of questions of a split that are printed; ``audit.csv`` has all."""


def print_audit(console: PlainConsole, audit: AuditFile) -> None:
    """Print who pays: every group, then the patterns side by side, then what was claimed beside what was measured."""
    kinds = [kind for kind in ("text", "item") if any(row.kind == kind for row in audit.groups)]
    for kind in kinds:
        sheets = [group_sheet(audit, split, kind) for split in audit.splits if kind in audit.kinds(split)]
        for sheet in (*(replace(sheet, legend="") for sheet in sheets[:-1]), sheets[-1]):
            print_sheet(console, sheet, MOST_QUESTIONS if kind == "item" else None, "audit.csv")
    if audit.harness:
        print_sheet(console, harness_sheet(audit))
    for kind in kinds:
        print_sheet(console, summary_sheet(audit, kind))
    print_sheet(console, removed_sheet(audit))
    for rows in recovered_rows(audit):
        for line in recovered_words(audit, rows):
            console.print(line, highlight=False, soft_wrap=True)
    for pattern in audit.patterns:
        for line in borne_words(audit, pattern.name):
            console.print(f"{pattern.name}: {line}", highlight=False, soft_wrap=True)
        sentence = claimed_and_measured(audit, pattern)
        if sentence is not None:
            console.print(f"{pattern.name}: {sentence}", highlight=False, soft_wrap=True)
