"""Does an audit keep what a search with tolerances promised? Eight domains, five seeds, the embedded model.

    python benchmarks/tolerances.py                  # resumable, cell by cell
    python benchmarks/tolerances.py --table          # the table of the cells that are done

A cell is a seed, a tolerance, and what patterns are judged as. Its search says how much can go so that no group loses
more, on ``select``, for certain (95%). Then its answer is audited on more documents of the same groups. The promise is
kept where no audited group was measured to lose more than it may; it is broken beyond chance where the lower end of the
interval of the largest of loss over tolerance is above 1. Seeds draw other splits: other documents to search, to select
and to audit.

Writes ``tolerances.csv`` (one row a cell) and ``tolerances.md``.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd

from calibration import CalibrationSet, DomainSource, Recipe, build_calibration_set
from evop.errors import EvopError
from evop.reference import corpus_files, model_dir
from evop.stages.audit import audit
from evop.stages.search import search

RESULTS = Path(__file__).parent / "results"
SEEDS = (0, 1, 2, 3, 4)
TOLERANCES = ("0.15", "0.10")
JUDGES = ("masked", "refit")
EVALUATIONS = 40
"""Patterns a budget."""
MAX_TOKENS = 96
QUIET = {"needs": False, "speed": False, "random_patterns": 0, "device": "cpu", "dtype": "float32"}


def calibrated(seed: int) -> CalibrationSet:
    """Build a set of all embedded domains, two clusters each, with a large audit."""
    return build_calibration_set(
        Recipe(
            domains=[DomainSource(name=name, source=str(path)) for name, path in corpus_files().items()],
            group_by="document",
            clusters=2,
            hold_out=0.0,
            embedder="lexical",
            passages=12,
            passage_chars=500,
            limit=800,
            select_passages=12,
            audit_passages=40,
            train_tokens=2000,
            seed=seed,
            split_seed=seed,
        )
    )


def cell(seed: int, tolerate: str, judge: str, work: Path) -> dict[str, Any]:
    """Search within a tolerance, and audit what came of it."""
    place, begun = work / f"{seed}-{tolerate}-{judge}", time.perf_counter()
    calibration = calibrated(seed)
    key = {"seed": seed, "tolerate": tolerate, "judge": judge}
    try:
        found = search(
            model_dir(), calibration, place / "run", tolerate=tolerate, judge=judge, seed=seed, deploy="any",
            evaluations=EVALUATIONS, max_tokens=MAX_TOKENS, min_group_tokens=200, store=str(work / f"store-{seed}"),
            device="cpu", dtype="float32",
        )  # fmt: skip
    except EvopError as nothing:
        if "Nothing can go" not in str(nothing):
            raise
        return {**key, "removed": 0.0}
    assert found.frontier is not None
    point = found.frontier.point(found.frontier.answer)
    assert point is not None
    promised = point.judgements[judge]
    audited = audit(model_dir(), calibration, found.folder, place / "audit", **QUIET)
    row = next(row for row in audited.file.borne if row.split == "audit")
    groups = audited.groups[audited.groups["split"] == "audit"]
    shutil.rmtree(place)
    return {
        **key,
        "removed": point.removed,
        "budgets": len(found.frontier.points),
        "tokens": found.frontier.tokens,
        "groups": row.groups,
        "select_measured": promised.measured,
        "select_high": promised.high,
        "audit_documents": int(groups["documents"].min()),
        "audit_measured": row.measured,
        "audit_low": row.low,
        "audit_high": row.high,
        "over": len(row.over),
        "verdict": row.verdict,
        "worst_group": row.worst_group,
        "seconds": round(time.perf_counter() - begun),
    }


def table(frame: pd.DataFrame) -> str:
    """One line a tolerance and what was judged, as Markdown."""
    heads = ["tolerated", "judged", "cells", "removed", "on select, measured", "upper end", "on audit, measured"]
    heads += ["kept as measured", "kept for certain", "broken beyond chance"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for (tolerate, judge), rows in frame.groupby(["tolerate", "judge"]):
        rows = rows[rows["removed"] > 0]
        cells = [f"{float(tolerate):.2f}", str(judge), str(len(rows))]
        cells.append(f"{rows['removed'].mean():.1%} ({rows['removed'].min():.1%} to {rows['removed'].max():.1%})")
        cells += [f"{rows[key].mean():.0%}" for key in ("select_measured", "select_high", "audit_measured")]
        kept, sure, broken = rows["over"] == 0, rows["verdict"] == "within", rows["verdict"] == "beyond"
        cells += [f"{int(each.sum())} of {len(rows)}" for each in (kept, sure, broken)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the cells that are missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/tolerances"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="write the table of what is done, run nothing")
    given = parser.parse_args()
    path = given.results / "tolerances.csv"
    rows = pd.read_csv(path, dtype={"tolerate": str}).to_dict("records") if path.is_file() else []
    done = {(row["seed"], row["tolerate"], row["judge"]) for row in rows}
    for judge in () if given.table else JUDGES:
        for tolerate in TOLERANCES:
            for seed in SEEDS:
                if (seed, tolerate, judge) not in done:
                    rows.append(cell(seed, tolerate, judge, given.work))
                    pd.DataFrame(rows).to_csv(path, index=False, float_format="%.4f")
                    print(rows[-1], flush=True)
    text = table(pd.DataFrame(rows))
    (given.results / "tolerances.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
