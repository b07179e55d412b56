"""Which pattern keeps the worst group's right answers: one searched by mean loss, worst loss or worst accuracy?

    python benchmarks/accuracy.py --blimp blimp.jsonl          # resumable

The embedded model, sub-blocks under ``any``, a quarter removed, five seeds. Questions: BLiMP, the linguistic
term as domain and the paradigm as cluster (the file has ``choices``, ``gold``, ``term``, ``subset``), and a task of
continuations made of each of the eight embedded corpora. Every search may measure as many patterns. A seed draws the
search sample again; ``select``, ``audit`` and ``unseen`` are the same for all.

Writes ``accuracy.csv`` and ``accuracy.md``: over the groups in which the dense model is above chance (judged on
``search`` and ``select``; of unseen clusters, on themselves), what the worst group lost, what all lost in the mean, and
the lowest accuracy; and the worst group's excess loss on text.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from processes import processes
from rivals import HOW, embedded_domains
from rivals_table import spread

from calibration import CalibrationSet, build_calibration_set
from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import GroupRow
from evop.recipes.words import calibration_recipe
from evop.reference import model_dir
from evop.searching.search_file import SearchFile
from evop.stages.audit import audit
from evop.stages.search import search

EVALUATIONS = 130
"""Patterns a search may measure; greedy needs 129 to come to its end."""
CONTENDERS: dict[str, dict[str, Any]] = {
    "surrogate, mean loss": {"strategy": "surrogate", "objective": "mean"},
    "surrogate, worst loss": {"strategy": "surrogate"},
    "surrogate, worst accuracy": {"strategy": "surrogate", "loss": "accuracy"},
    "greedy, worst loss": {"strategy": "greedy"},
    "genetic (EvoP), worst loss": {"strategy": "genetic"},
    "random search, worst loss": {"strategy": "random"},
}
ASKED: dict[str, Any] = {"deploy": "any", "max_tokens": 160, "min_group_tokens": 128, "evaluations": EVALUATIONS, **HOW}
SEEDS = range(5)
SPLITS = ("audit", "unseen")


def calibration(work: Path, blimp: Path, seed: int) -> CalibrationSet:
    """Text and questions; the seed draws the search sample."""
    folder = work / f"set-{seed}"
    if not folder.is_dir():
        recipe = calibration_recipe(
            embedded_domains(),
            group_by=["document"],
            tasks=[f"blimp={blimp}"],
            task_columns=["blimp=domain:term,cluster:subset"],
            continuations=["all"],
            clusters=4,
            embedder="lexical",
            passages=7,
            passage_chars=400,
            limit=400,
            items=80,
            select_items=16,
            min_group_tokens=250,
            select_passages=4,
            audit_passages=12,
            seed=seed,
        )
        build_calibration_set(recipe).save(folder)
    return CalibrationSet.load(folder)


def folder(work: Path, seed: int, contender: str) -> Path:
    """Where a run lies."""
    return work / f"{seed}-{contender.replace(', ', '-').replace(' ', '-').replace('(', '').replace(')', '')}"


def run(work: Path, seed: int, contender: str) -> str:
    """One search, unless it is done; what was done in one line."""
    out = folder(work, seed, contender)
    if not (out / "pattern.json").is_file():
        search(model_dir(), work / f"set-{seed}", out, seed=seed, **ASKED, **CONTENDERS[contender])
    return f"seed {seed}, {contender}: done"


def audited(work: Path, seed: int) -> str:
    """The audit of a seed's searches, unless it is done."""
    out = work / f"audit-{seed}"
    if not (out / "audit.json").is_file():
        runs = [folder(work, seed, contender) for contender in CONTENDERS]
        audit(model_dir(), work / f"set-{seed}", runs, out, speed=False, needs=False, **HOW)
    return f"seed {seed}: audited"


def rows(work: Path) -> Iterator[dict[str, object]]:
    """One row a seed, pattern and split."""
    for seed in SEEDS:
        file = AuditFile.find(work / f"audit-{seed}")
        names = dict(zip([pattern.name for pattern in file.patterns], CONTENDERS, strict=True))
        searched = set(SearchFile.read(folder(work, seed, "cma, worst accuracy") / "search.json").groups)
        for summary in (row for row in file.summary if row.kind == "text"):
            mine = [row for row in file.groups if (row.pattern, row.split) == (summary.pattern, summary.split)]
            judged = [row for row in mine if row.kind == "item" and _is_judged(row, searched)]
            worst = max(judged, key=lambda row: row.excess)
            yield {
                "contender": names[summary.pattern],
                "seed": seed,
                "split": summary.split,
                "groups": len(judged),
                "worst": worst.excess,
                "worst_group": worst.label,
                "mean": sum(row.excess for row in judged) / len(judged),
                "lowest": min(row.accuracy or 0.0 for row in judged),
                "worse": sum(bool(row.worse) for row in judged),
                "text": summary.worst_measured,
            }


def _is_judged(row: GroupRow, searched: set[str]) -> bool:
    """Whether the dense model is above chance in a group: on ``search`` and ``select``, as the search found.

    Chosen on the audit itself, groups would be those in which the dense model was lucky there, and all would seem to
    lose. Of unseen clusters there is no other split.
    """
    assert row.dense_accuracy_low is not None
    above = row.dense_accuracy_low > (0.5 if row.domain.startswith("blimp.") else 0.25)
    return row.group in searched if row.split == "audit" else above


def table(frame: pd.DataFrame, split: str) -> str:
    """Medians and ranges over the seeds, as Markdown."""
    heads = ("worst group lost", "mean lost", "lowest accuracy", "groups worse for certain", "worst text excess")
    groups = frame[frame["split"] == split]["groups"].iloc[0]
    lines = [f"| {split}, {groups} groups | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for name in CONTENDERS:
        mine = frame[(frame["contender"] == name) & (frame["split"] == split)]
        cells = [spread(mine[column]) for column in ("worst", "mean", "lowest", "worse", "text")]
        cells[3] = cells[3].replace(".000", "")
        lines.append(f"| {name} | {' | '.join(cells)} |".replace("-0.000", "0.000"))
    return "\n".join(lines) + "\n"


def noise_floor(questions: int, groups: int, lost: float = 0.02, changed: float = 0.14) -> float:
    """What the worst of some groups seems to lose, in the mean, if all of them lost alike.

    Args:
        questions: questions of each group.
        groups: number of groups.
        lost: the share of the questions that every group truly loses.
        changed: the share of the questions whose answers change, either way; the rest changes by chance.
    """
    shares = [(changed + lost) / 2, (changed - lost) / 2, 1 - changed]
    changes = np.random.default_rng(0).multinomial(questions, shares, size=(4000, groups))
    return float((changes[..., 0] - changes[..., 1]).max(axis=1).mean() / questions)


def main() -> None:
    """Run what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blimp", type=Path, required=True, help="BLiMP in one JSONL file")
    parser.add_argument("--work", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where tables are written")
    parser.add_argument("--jobs", type=int, default=2, help="searches side by side, one thread each")
    given = parser.parse_args()
    for seed in SEEDS:
        calibration(given.work, given.blimp, seed)
    with processes(given.jobs) as pool:
        longest_first = sorted(CONTENDERS, key=lambda contender: "loss" not in CONTENDERS[contender])
        searches = [pool.submit(run, given.work, seed, contender) for contender in longest_first for seed in SEEDS]
        for done in as_completed(searches):
            print(done.result(), flush=True)
        for done in as_completed([pool.submit(audited, given.work, seed) for seed in SEEDS]):
            print(done.result(), flush=True)
    frame = pd.DataFrame(list(rows(given.work)))
    given.results.mkdir(parents=True, exist_ok=True)
    frame.to_csv(given.results / "accuracy.csv", index=False, float_format="%.5f")
    text = "\n".join(table(frame, split) for split in SPLITS)
    (given.results / "accuracy.md").write_text(text)
    print(text)
    for questions, groups in ((52, 41), (75, 12)):
        print(f"all alike, the worst of {groups} of {questions} seems to lose {noise_floor(questions, groups):.3f}")


if __name__ == "__main__":
    main()
