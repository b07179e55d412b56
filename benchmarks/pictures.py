"""The pictures of the documents, of the demo's report, and the numbers in the picture of groups.

    make demo && python benchmarks/pictures.py demo

Writes ``groups.png`` and ``needs.png``, and ``benchmarks/results/demo.csv``: one row a group of text, what the searched
pattern loses there, the same refitted, and the random ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

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
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where demo.csv is written")
    given = parser.parse_args()
    labels = CalibrationSet.load(given.demo / "set").labels
    audit = AuditFile.find(given.demo / "audit")
    assert audit.needs is not None
    figures = {"groups": groups_figure(audit, "audit", "text"), "needs": needs_figure(audit.needs, labels)}
    given.out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(given.out / f"{name}.png", dpi=DOTS, facecolor="white")
    groups_frame(audit).to_csv(given.results / "demo.csv", index=False, float_format="%.5f")


def groups_frame(audit: AuditFile) -> pd.DataFrame:
    """Lay out what every group of text loses under the searched pattern, refitted, and at random, nats per token."""
    (searched, refitted), (random,) = audit.patterns, audit.randoms
    rows: list[dict[str, object]] = []
    for split in audit.splits:
        drawn = audit.random_of(random, split, "text")
        assert drawn is not None
        after = {row.group: row.excess for row in audit.groups_of(refitted.name, split, "text")}
        for row in audit.groups_of(searched.name, split, "text"):
            lost = drawn.groups[row.group]
            at_random = {"random": lost.median, "random_least": lost.least, "random_most": lost.most}
            where = {"split": split, "domain": row.domain, "group": row.group, "tokens": row.tokens}
            both = {"searched": row.excess, "refitted": after[row.group]}
            rows.append({**where, **both, **at_random, "random_patterns": drawn.patterns})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
