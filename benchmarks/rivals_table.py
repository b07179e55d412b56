"""The tables of ``rivals.py``: rows of its audits, and medians over seeds as Markdown.

    python benchmarks/rivals_table.py benchmarks/results/rivals.csv                     # its tables again
    python benchmarks/rivals_table.py benchmarks/results/rivals.csv --rows OTHER.csv    # with sections of another

A table is made of what its CSV says, five digits after the point, so that anybody can make it again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from evop.auditing.audit_file import AuditFile
from evop.searching.search_file import SearchFile

RANDOM = "random patterns, median"
AT_RANDOM = (RANDOM, "one random pattern")
"""What was not searched: today's row, and that of older measurements, which drew one."""


def rows_of(file: AuditFile, runs: Mapping[str, Path]) -> Iterator[dict[str, object]]:
    """One row a contender and split, the medians of the audit's random patterns included.

    Args:
        file: the audit.
        runs: contender -> its search run, in the order in which they were audited.
    """
    contender = dict(zip([pattern.name for pattern in file.patterns], runs, strict=True))
    for random in (row for row in file.random if row.kind == "text"):
        losses = {"worst": random.worst.median, "mean": random.mean.median}
        yield {"contender": RANDOM, "split": random.split, **losses, "evaluations": 0, "tokens": 0, "stopped": ""}
    for row in (row for row in file.summary if row.kind == "text"):
        account = SearchFile.read(runs[contender[row.pattern]] / "search.json")
        yield {
            "contender": contender[row.pattern],
            "split": row.split,
            "worst": row.worst,
            "mean": row.mean,
            "p90": row.p90,
            "worst_group": row.worst_group,
            "groups": row.groups,
            "evaluations": account.evaluations,
            "tokens": account.tokens["total"],
            "stopped": account.stopped,
        }


def table(frame: pd.DataFrame) -> str:
    """Medians over seeds, with the range in brackets where there are several, as Markdown."""
    grains = frame["grain"].nunique() > 1
    lines = [
        ("| grain, removed " if grains else "")
        + "| strategy | audit worst | audit mean | unseen worst | unseen mean | evaluations | tokens |",
        ("|---" if grains else "") + "|---|---|---|---|---|---|---|",
    ]
    for (grain, remove), part in frame.groupby(["grain", "remove"], sort=False):
        for name in sorted(part["contender"].unique(), key=lambda name: name not in AT_RANDOM):
            mine = part[part["contender"] == name]
            splits = [mine[mine["split"] == split] for split in ("audit", "unseen")]
            cells = [spread(rows[what]) for rows in splits for what in ("worst", "mean")]
            used = mine[mine["split"] == "audit"]
            cost = [f"{used['evaluations'].median():.0f}", f"{used['tokens'].median() / 1e6:.2f} M"]
            first = f"| {grain}, {remove} " if grains else ""
            lines.append(f"{first}| {name} | {' | '.join([*cells, *cost])} |")
    return "\n".join(lines) + "\n"


def spread(values: pd.Series) -> str:
    """Median [smallest, largest]; the value alone where there is one."""
    if len(values) < 2:
        return f"{values.iloc[0]:.3f}" if len(values) else "–"
    return f"{values.median():.3f} [{values.min():.3f}, {values.max():.3f}]"


def save(rows: pd.DataFrame, place: Path) -> None:
    """Put the sections of rows into a CSV, beside its other sections, and write the table of every section.

    Args:
        rows: of whole sections, as ``rivals.py`` measures them; they replace those of before.
        place: the CSV, which need not be there; the tables lie beside it, ``<name>-<section>.md``.
    """
    if place.is_file():
        before = pd.read_csv(place)
        rows = pd.concat([rows, before[~before["section"].isin(rows["section"])]], ignore_index=True)
    rows.to_csv(place, index=False, float_format="%.5f")
    for section, part in pd.read_csv(place).groupby("section", sort=False):
        place.with_name(f"{place.stem}-{section}.md").write_text(table(part))


def main() -> None:
    """Write the tables of a CSV again."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("csv", type=Path)
    parser.add_argument("--rows", type=Path, help="a CSV whose sections replace those of the first")
    given = parser.parse_args()
    save(pd.read_csv(given.rows or given.csv), given.csv)


if __name__ == "__main__":
    main()
