"""Does the calibration set matter more than the search? Every sampler with every strategy, five seeds.

    python benchmarks/set_or_search.py          # resumable

The embedded model and corpora, sub-blocks under ``any``, a quarter removed, the worst group as the objective. A sampler
and a seed give a calibration set; ``select``, ``audit`` and ``unseen`` are the same for all of them. Every search may
score as many tokens. Writes ``set-or-search.csv``, and ``set-or-search.md``: the worst group's excess for every pair,
and how much of the variance between the 60 answers goes with the sampler, with the strategy, with both together, and
with the seed.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path

import pandas as pd
from rivals import ASKED, HOW, Bench, embedded_domains, one_thread
from rivals_table import rows_of, spread

from evop.auditing.audit_file import AuditFile
from evop.reference import model_dir
from evop.stages.audit import audit
from evop.stages.search import search

SAMPLERS = ("ccds", "random", "proportional", "evop")
STRATEGIES = ("cma", "swap", "greedy")
SEEDS = range(5)
TOKENS = 400_000
"""Tokens a search may score."""
SPLITS = ("audit", "unseen")


def run(work: Path, sampler: str, seed: int) -> str:
    """All searches on a set, and their audit; returns what was done in one line."""
    given = Bench(str(model_dir()), embedded_domains(), work).calibration(seed, sampler)
    runs = folders(work, sampler, seed)
    for strategy, out in runs.items():
        if not (out / "pattern.json").is_file():
            options = {"strategy": strategy, "tokens": TOKENS, "seed": seed, "store": str(work / "store"), **ASKED}
            search(model_dir(), given, out, **options)
    out = audited(work, sampler, seed)
    if not (out / "audit.json").is_file():
        audit(model_dir(), given, list(runs.values()), out, speed=False, needs=False, **HOW)
    return f"{sampler}, seed {seed}: done"


def folders(work: Path, sampler: str, seed: int) -> dict[str, Path]:
    """Strategy -> where its run lies."""
    return {strategy: work / f"{sampler}-{seed}-{strategy}" for strategy in STRATEGIES}


def audited(work: Path, sampler: str, seed: int) -> Path:
    """Where the audit lies."""
    return work / f"audit-{sampler}-{seed}"


def rows(work: Path) -> Iterator[dict[str, object]]:
    """One row a search and split."""
    for sampler, seed in product(SAMPLERS, SEEDS):
        file = AuditFile.find(audited(work, sampler, seed))
        for row in rows_of(file, folders(work, sampler, seed)):
            yield {"sampler": sampler, "seed": seed, **row}


def table(frame: pd.DataFrame) -> str:
    """Medians and ranges of the worst group's excess, and where the variance lies, as Markdown."""
    lines = [f"| sampler | {' | '.join(f'{name}, {split}' for split in SPLITS for name in STRATEGIES)} |"]
    lines.append("|---" * (1 + len(SPLITS) * len(STRATEGIES)) + "|")
    for sampler in SAMPLERS:
        mine = frame[frame["sampler"] == sampler].set_index(["split", "contender"])["worst"]
        cells = [spread(mine[split, name]) for split in SPLITS for name in STRATEGIES]
        lines.append(f"| {sampler} | {' | '.join(cells)} |")
    lines += ["", "| of the variance | audit | unseen |", "|---|---|---|"]
    shares = {
        split: variance(frame[(frame["split"] == split) & frame["contender"].isin(STRATEGIES)]) for split in SPLITS
    }
    for name in shares["audit"]:
        lines.append(f"| {name} | {' | '.join(f'{shares[split][name]:.0%}' for split in SPLITS)} |")
    return "\n".join(lines) + "\n"


def variance(frame: pd.DataFrame) -> dict[str, float]:
    """Shares of the sum of squares in a balanced table: two factors, what they do together, and the seeds."""
    total = frame["worst"].sub(frame["worst"].mean()).pow(2).sum()

    def between(*keys: str) -> float:
        means = frame.groupby(list(keys))["worst"].transform("mean")
        return float(means.sub(frame["worst"].mean()).pow(2).sum() / total)

    sampler, strategy = between("sampler"), between("contender")
    cells = between("sampler", "contender")
    return {
        "sampler": sampler,
        "strategy": strategy,
        "both together": cells - sampler - strategy,
        "seed: sample drawn, search begun": 1 - cells,
    }


def main() -> None:
    """Run what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/set-or-search"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where tables are written")
    parser.add_argument("--jobs", type=int, default=2, help="sets side by side, one thread each")
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.jobs, mp_context=context, initializer=one_thread) as pool:
        cells = [pool.submit(run, given.work, sampler, seed) for seed, sampler in product(SEEDS, SAMPLERS)]
        for done in as_completed(cells):
            print(done.result(), flush=True)
    frame = pd.DataFrame(list(rows(given.work)))
    given.results.mkdir(parents=True, exist_ok=True)
    frame.to_csv(given.results / "set-or-search.csv", index=False, float_format="%.5f")
    text = table(frame)
    (given.results / "set-or-search.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
