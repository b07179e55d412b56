"""The tables of ``rivals.py``: rows of its audits, and medians over seeds as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from evop.auditing.audit_file import AuditFile
from evop.searching.search_file import SearchFile

RANDOM = "random patterns, median"


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
        order = [RANDOM, *(name for name in part["contender"].unique() if name != RANDOM)]
        for name in order:
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
