"""Strategies side by side on the embedded model: who keeps the worst group best at equal tokens?

    python benchmarks/strategies.py --work runs/strategies --results benchmarks/results

Eight domains, a quarter of the decoder's parameters removed, sub-block grain, under ``any`` and under ``stock``.
A seed draws the search sample again and seeds the strategy; ``select``, ``audit`` and ``unseen`` stay as they are.
Every search may score ``TOKENS`` tokens, ``select`` included. Resumable: what is done is not done again.
Writes ``strategies.csv`` (one row a search and split) and ``strategies.md`` (medians and ranges).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pandas as pd

from calibration import CalibrationSet, build_calibration_set
from evop.audit_file import AuditFile
from evop.recipe import calibration_recipe
from evop.reference import corpus_files, model_dir
from evop.search_run import SearchFile
from evop.stages.audit import audit
from evop.stages.search import search

TOKENS = 1_800_000
MAX_TOKENS = 256
SEEDS = (0, 1, 2)
DEPLOYS = ("any", "stock")
CONTENDERS = {
    "random": {"strategy": "random", "objective": "worst"},
    "greedy": {"strategy": "greedy", "objective": "worst"},
    "cma": {"strategy": "cma", "objective": "worst"},
    "cma, mean": {"strategy": "cma", "objective": "mean"},
}


def main() -> None:
    """Run what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, default=Path("runs/strategies"), help="sets, runs and audits")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="tables")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    rows = [row for seed in SEEDS for deploy in DEPLOYS for row in cell(given.work, given.device, deploy, seed)]
    frame = pd.DataFrame(rows)
    given.results.mkdir(parents=True, exist_ok=True)
    frame.to_csv(given.results / "strategies.csv", index=False, float_format="%.5f")
    (given.results / "strategies.md").write_text(table(frame))
    print(table(frame))


def cell(work: Path, device: str, deploy: str, seed: int) -> list[dict[str, object]]:
    """All contenders on one search sample under one deploy, then one audit of them all."""
    calibration = sample(work / f"set-{seed}", seed)
    runs = {}
    for name, choice in CONTENDERS.items():
        runs[name] = work / f"{deploy}-{seed}" / name.replace(", ", "-")
        if not (runs[name] / "search.json").is_file():
            begun = time.monotonic()
            found = search(
                model_dir(),
                calibration,
                runs[name],
                remove=0.25,
                grain="subblock",
                deploy=deploy,
                tokens=TOKENS,
                max_tokens=MAX_TOKENS,
                min_group_tokens=128,
                seed=seed,
                device=device,
                dtype="float32",
                **choice,
            ).account
            print(
                f"{deploy} seed {seed} {name}: {found.evaluations} evaluations, {found.tokens['total']:,} tokens, "
                f"{time.monotonic() - begun:.0f} s, stopped by: {found.stopped}",
                flush=True,
            )
    audited = work / f"audit-{deploy}-{seed}"
    if not (audited / "audit.json").is_file():
        audit(model_dir(), calibration, list(runs.values()), audited, device=device, dtype="float32")
    return rows_of(AuditFile.find(audited), runs, deploy, seed)


def sample(folder: Path, seed: int) -> CalibrationSet:
    """The calibration set whose search passages ``seed`` drew."""
    if not folder.is_dir():
        domains = [f"{name}={path}" for name, path in corpus_files().items()]
        build_calibration_set(
            calibration_recipe(
                domains,
                group_by=["document"],
                clusters=4,
                passages=6,
                passage_chars=800,
                limit=1500,
                select_passages=4,
                audit_passages=16,
                seed=seed,
            )
        ).save(folder)
    return CalibrationSet.load(folder)


def rows_of(file: AuditFile, runs: dict[str, Path], deploy: str, seed: int) -> list[dict[str, object]]:
    """One row a contender and split, the audit's random pattern included."""
    audited = [pattern.name for pattern in file.patterns if pattern.sha256]
    contender = dict(zip(audited, runs, strict=True))
    rows = []
    for row in file.summary:
        name = contender.get(row.pattern, "one random pattern")
        account = SearchFile.read(runs[name] / "search.json") if name in runs else None
        rows.append(
            {
                "deploy": deploy,
                "seed": seed,
                "contender": name,
                "split": row.split,
                "worst": row.worst,
                "mean": row.mean,
                "p90": row.p90,
                "worst_group": row.worst_group,
                "groups": row.groups,
                "evaluations": account.evaluations if account else 0,
                "tokens": account.tokens["total"] if account else 0,
                "stopped": account.stopped if account else "",
            }
        )
    return rows


def table(frame: pd.DataFrame) -> str:
    """Medians over seeds, with the range in brackets, as Markdown."""
    lines = [
        "| deploy | strategy | audit worst | audit mean | unseen worst | unseen mean | evaluations | tokens |",
        "|---|---|---|---|---|---|---|---|",
    ]
    order = ["one random pattern", *CONTENDERS]
    for deploy in DEPLOYS:
        for name in order:
            mine = frame[(frame["deploy"] == deploy) & (frame["contender"] == name)]
            cells = [
                spread(mine[mine["split"] == split][what])
                for split in ("audit", "unseen")
                for what in ("worst", "mean")
            ]
            used = mine[mine["split"] == "audit"]
            cost = [f"{used['evaluations'].median():.0f}", f"{used['tokens'].median() / 1e6:.2f} M"]
            lines.append(f"| {deploy} | {name} | {' | '.join([*cells, *cost])} |")
    return "\n".join(lines) + "\n"


def spread(values: pd.Series) -> str:
    """Median [smallest, largest]."""
    return f"{values.median():.3f} [{values.min():.3f}, {values.max():.3f}]"


if __name__ == "__main__":
    main()
