"""Do the intervals of an audit's domains hold at once? Simulated audits of pools whose means are known.

    python benchmarks/coverage_domains.py            # resumable, cell by cell

The pools and the audits are those of ``coverage.py``; two groups at a time are a domain. Of every audit: do the
intervals of all domains hold the true loss of the worst group of each, and how often would they, were each made to hold
by itself? Writes ``coverage-domains.csv`` (one row a pool, number of documents, number of domains) and ``.md``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from coverage import DOCUMENTS, FEWEST, RESULTS, audits, pool_of

from evop.losses.worst import Measured, largest_within

POOLS, DOMAINS, EACH, DRAWS = ("elsewhere", "tied", "heavy"), (2, 4, 7), 2, 2000


def cell(name: str, documents: int, domains: int, times: int, seed: int) -> dict[str, object]:
    """How often the intervals of one kind of audit hold the truth, in percent."""
    rng = np.random.default_rng([seed, documents, domains, *name.encode()])
    parts = [np.arange(EACH) + EACH * at for at in range(domains)]
    pool, truths, means, noises = pool_of(name), [], [], []
    for true, measured, noise, _ in audits(pool, documents, EACH * domains, times, rng, name == "tied", DRAWS):
        truths.append(true[0])
        means.append(measured[0])
        noises.append(noise[:, 0])
    true = np.array([np.array(truths)[:, part].max(axis=1) for part in parts])
    found = {}
    for way in ("at once", "alone"):
        measured = Measured(means, np.stack(noises, axis=1))
        rows = largest_within([measured], [seed], parts, at_once=way == "at once")
        low, high = np.array([[(worst.low, worst.high) for worst in row] for row in rows]).transpose(2, 0, 1)
        held = (low <= true) & (true <= high)
        found |= {f"all, {way}": 100 * held.all(axis=0).mean(), f"each, {way}": 100 * held.mean()}
        found[f"width, {way}"] = (high - low).mean()
    return {"pool": name, "documents": documents, "domains": domains, "audits": len(means)} | found


def table(frame: pd.DataFrame) -> str:
    """One line a cell, as Markdown."""
    heads = [
        "pool",
        "documents",
        "domains",
        "audits",
        "all hold",
        "width",
        "each made to hold alone: all hold",
        "width",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for _, row in frame.iterrows():
        cells = [str(row[name]) for name in ("pool", "documents", "domains", "audits")]
        for way in ("at once", "alone"):
            cells += [f"{row[f'all, {way}']:.1f}", f"{row[f'width, {way}']:.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the cells that are missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--audits", type=int, default=200, help="per cell")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    path = given.results / "coverage-domains.csv"
    rows = pd.read_csv(path).to_dict("records") if path.is_file() else []
    for name in POOLS:
        size = int((np.bincount(pool_of(name).groups) >= FEWEST).sum())
        for documents in DOCUMENTS:
            for domains in (count for count in DOMAINS if EACH * count <= size):
                key = (name, documents, domains)
                if any((row["pool"], row["documents"], row["domains"]) == key for row in rows):
                    continue
                rows.append(cell(*key, given.audits, given.seed))
                pd.DataFrame(rows).to_csv(path, index=False, float_format="%.4f")
                print(rows[-1], flush=True)
    text = table(pd.DataFrame(rows))
    (given.results / "coverage-domains.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
