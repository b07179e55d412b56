"""The pictures of the documents, of the demo's report.

make demo && python benchmarks/pictures.py demo
"""

from __future__ import annotations

import argparse
from pathlib import Path

from calibration import CalibrationSet
from evop.auditing.audit_file import AuditFile
from evop.report import groups_figure, needs_figure

DOTS = 110
"""An inch."""


def main() -> None:
    """Draw them again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("demo", type=Path, help="where evop demo wrote")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    given = parser.parse_args()
    labels = CalibrationSet.load(given.demo / "set").labels
    audit = AuditFile.find(given.demo / "audit")
    assert audit.needs is not None
    figures = {"groups": groups_figure(audit, "audit", "text"), "needs": needs_figure(audit.needs, labels)}
    given.out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(given.out / f"{name}.png", dpi=DOTS, facecolor="white")


if __name__ == "__main__":
    main()
