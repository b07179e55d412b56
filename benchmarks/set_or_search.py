"""Does the calibration set matter more than the search? Every sampler with every strategy, five seeds.

    python benchmarks/set_or_search.py          # resumable
    python benchmarks/set_or_search.py --table  # the table again, from the CSV

The embedded model and corpora, sub-blocks under ``any``, a quarter removed, the worst group as the objective. A sampler
and a seed give a calibration set; ``select``, ``audit`` and ``unseen`` are the same for all of them. Every search may
score as many tokens. Writes ``set-or-search.csv``, and ``set-or-search.md``: the worst group's excess for every pair,
and how much of the variance between the 60 answers goes with the sampler, with the sample drawn, with the strategy,
and with the rest, as a split plot: the strategies share a sample.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from concurrent.futures import as_completed
from itertools import product
from pathlib import Path

import pandas as pd
from processes import processes
from rivals import ASKED, HOW, Bench, embedded_domains
from rivals_table import rows_of, spread
from scipy.stats import f

from evop.auditing.audit_file import AuditFile
from evop.reference import model_dir
from evop.stages.audit import audit
from evop.stages.search import search

SAMPLERS = ("ccds", "random", "proportional", "evop")
STRATEGIES = ("surrogate", "swap", "greedy")
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
        lines.append(f"| {name} | {' | '.join(_share(*shares[split][name]) for split in SPLITS)} |")
    return "\n".join(lines) + "\n"


def _share(share: float, chance: float) -> str:
    return f"{share:.0%}" + ("" if math.isnan(chance) else " (p < 0.001)" if chance < 0.001 else f" (p = {chance:.2g})")


def variance(frame: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Part the sum of squares of a balanced split plot; a sample is a block that its strategies share.

    Returns:
        What -> its share of the sum of squares, and the probability of an F so large were there no effect (NaN for the
        rest). A sampler is held against its samples, the others against the rest.

    Source: Montgomery, "Design and Analysis of Experiments", split-plot designs.
    """
    value, middle = frame["worst"], frame["worst"].mean()

    def squares(*keys: str) -> float:
        return float(frame.groupby(list(keys))["worst"].transform("mean").sub(middle).pow(2).sum())

    sampler, strategy = squares("sampler"), squares("contender")
    sample = squares("sampler", "seed") - sampler
    pairs = squares("sampler", "contender") - sampler - strategy
    total = float(value.sub(middle).pow(2).sum())
    rest = total - sampler - strategy - sample - pairs
    samplers, strategies, seeds = (frame[key].nunique() for key in ("sampler", "contender", "seed"))
    free = {
        "sampler": samplers - 1,
        "sample": samplers * (seeds - 1),
        "strategy": strategies - 1,
        "pairs": (samplers - 1) * (strategies - 1),
        "rest": samplers * (seeds - 1) * (strategies - 1),
    }

    def chance(effect: float, name: str, error: float, of: str) -> float:
        return float(f.sf((effect / free[name]) / (error / free[of]), free[name], free[of]))

    return {
        "sampler": (sampler / total, chance(sampler, "sampler", sample, "sample")),
        "sample drawn": (sample / total, chance(sample, "sample", rest, "rest")),
        "strategy": (strategy / total, chance(strategy, "strategy", rest, "rest")),
        "sampler with strategy": (pairs / total, chance(pairs, "pairs", rest, "rest")),
        "rest: strategy with sample, and the strategy's seed": (rest / total, float("nan")),
    }


def main() -> None:
    """Run what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/set-or-search"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where tables are written")
    parser.add_argument("--jobs", type=int, default=2, help="sets side by side, one thread each")
    parser.add_argument("--table", action="store_true", help="run nothing, write the table of the CSV again")
    given = parser.parse_args()
    written = given.results / "set-or-search.csv"
    if not given.table:
        run_all(given.work, given.jobs)
        given.results.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(list(rows(given.work))).to_csv(written, index=False, float_format="%.5f")
    text = table(pd.read_csv(written))
    (given.results / "set-or-search.md").write_text(text)
    print(text)


def run_all(work: Path, jobs: int) -> None:
    """Run what is missing."""
    with processes(jobs) as pool:
        for done in as_completed([pool.submit(run, work, sampler, seed) for seed, sampler in product(SEEDS, SAMPLERS)]):
            print(done.result(), flush=True)


if __name__ == "__main__":
    main()
