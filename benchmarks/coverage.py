"""Do the intervals of an audit cover what they say? Simulated audits of pools whose means are known.

    python benchmarks/coverage_pool.py embedded      # measures a pool; one lies in benchmarks/results
    python benchmarks/coverage.py                    # resumable, cell by cell

A pool's groups, at their means over all documents, are the truth. An audit draws groups of the pool, and 12 or 24
documents of each with replacement. Of every audit: does the interval of each group, of the worst group, and of the gap
between the worst groups of two patterns hold the truth, and how far off is the estimate of the worst? ``heavy`` is a
pool without a model: skewed and heavy-tailed documents (a lognormal and Student's t with three degrees of freedom).
``clear`` and ``tied`` are ``elsewhere`` with one group far out, and with three worst ones alike; those of
one of the two patterns are always drawn.
``percentile`` is the bootstrap that evop had before, beside it.

Writes ``coverage.csv`` (one row a pool, number of documents, number of groups) and ``coverage.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from coverage_pool import RESULTS, Pool

from evop.losses.means import TAILS, Means, document_means, document_noise
from evop.losses.worst import gap_interval, worst_of

DOCUMENTS, GROUPS, DRAWS = (12, 24), (4, 8, 14, 24), 400
FEWEST = 11
"""A group of the pool needs so many documents to stand for many."""
POOLS = ("elsewhere", "clear", "tied", "heavy")


def pool_of(name: str) -> Pool:
    """Read a pool, or make one."""
    if name == "heavy":
        return heavy()
    if name in ("clear", "tied"):
        return changed(Pool.read(RESULTS / "coverage-elsewhere.npz"), name)
    return Pool.read(RESULTS / f"coverage-{name}.npz")


def heavy() -> Pool:
    """Make 30 groups of 200 documents: half of them skewed, half of them heavy-tailed, of unequal length."""
    rng, count, each = np.random.default_rng(5), 30, 200
    groups = np.repeat(np.arange(count), each)
    tokens = rng.integers(40, 400, len(groups)).astype(float)
    means = rng.normal(0.25, 0.05, (4, count))
    skewed = rng.lognormal(0, 0.7, (4, len(groups))) * 0.12
    off = np.where(groups % 2, skewed - skewed.mean(), 0.07 * rng.standard_t(3, (4, len(groups))))
    shared = 0.07 * rng.standard_t(3, len(groups))
    return Pool(groups, tokens, (means[:, groups] + 0.7 * off + 0.7 * shared) * tokens)


def changed(pool: Pool, how: str) -> Pool:
    """Move the worst group of every pattern far out, or the next two of the three worst up to it."""
    extra = pool.extra.copy()
    for row in extra:
        means = truth(pool, row)
        third, second, first = np.argsort(means)[-3:]
        moves = {first: 4 * means.std()} if how == "clear" else dict.fromkeys((third, second))
        for group, by in moves.items():
            members = pool.groups == group
            row[members] += (means[first] - means[group] if by is None else by) * pool.tokens[members]
    return Pool(pool.groups, pool.tokens, extra)


def truth(pool: Pool, extra: np.ndarray) -> np.ndarray:
    """The mean of every group of a pool, per token."""
    return np.bincount(pool.groups, weights=extra) / np.bincount(pool.groups, weights=pool.tokens)


def audits(
    pool: Pool, documents: int, groups: int, times: int, rng: np.random.Generator, always: bool, draws: int = DRAWS
) -> Iterator[tuple[np.ndarray, list[Means], np.ndarray, np.ndarray]]:
    """Simulate audits of two patterns.

    Yields:
        The true means [2, groups], the measured ones, their simulated errors [draws, 2, groups], and the means of
        documents drawn once more, as the percentile bootstrap has them [draws, 2, groups].
    """
    large = np.flatnonzero(np.bincount(pool.groups) >= FEWEST)
    members = {group: np.flatnonzero(pool.groups == group) for group in large}
    means = np.array([truth(pool, row) for row in pool.extra])
    for _ in range(times):
        pair = rng.choice(len(pool.extra), 2, replace=False)
        some = rng.choice(large, groups, replace=False)
        if always:
            worst = np.argsort(means[pair[0], large])[-3:]
            some = np.concatenate(
                [large[worst], rng.choice(np.setdiff1d(large, large[worst]), groups - 3, replace=False)]
            )
        at = np.array([rng.choice(members[group], documents) for group in some])
        extra, tokens = pool.extra[pair][:, at], pool.tokens[at]
        owner, group = np.arange(at.size), np.repeat(np.arange(groups), documents)
        measured = [document_means(row.ravel(), tokens.ravel(), owner, group) for row in extra]
        noise = [document_noise(extra[:, g], tokens[g], draws, rng) for g in range(groups)]
        drawn = rng.multinomial(documents, np.full(documents, 1 / documents), size=draws)
        again = np.einsum("dn,pgn->dpg", drawn, extra) / np.einsum("dn,gn->dg", drawn, tokens)[:, None]
        yield means[pair][:, some], measured, np.stack(noise, axis=-1), again


def cell(name: str, documents: int, groups: int, times: int, seed: int) -> dict[str, object]:
    """How often the intervals of one kind of audit hold the truth, in percent."""
    rng = np.random.default_rng([seed, documents, groups, *name.encode()])
    truths, measured, noises, agains = zip(
        *audits(pool_of(name), documents, groups, times, rng, name in ("clear", "tied")), strict=True
    )
    true, again = np.concatenate(truths), np.concatenate(agains, axis=1)
    means = [each for pair in measured for each in pair]
    worsts = worst_of(means, np.concatenate(noises, axis=1), [seed])
    own = np.array([each.interval() for each in means])
    largest, low, high = true.max(axis=1), *np.array([(worst.low, worst.high) for worst in worsts]).T
    gaps = np.array([gap_interval(*worsts[i : i + 2]) for i in range(0, len(worsts), 2)])
    gap = largest[::2] - largest[1::2]
    before, old = np.quantile(again, TAILS, axis=0), np.quantile(again.max(axis=-1), TAILS, axis=0)
    values = np.array([(worst.value, worst.measured) for worst in worsts]) - largest[:, None]
    held = [np.isin(row.argmax(), worst.among) for row, worst in zip(true, worsts, strict=True)]
    named = [row.argmax() == each.value.argmax() for row, each in zip(true, means, strict=True)]
    return {
        **{"pool": name, "documents": documents, "groups": groups, "audits": len(worsts)},
        "group": _held(own[:, 0], true, own[:, 1]),
        "worst": _held(low, largest, high),
        "worst_below": 100 * np.mean(largest < low),
        "gap": _held(gaps[:, 0], gap, gaps[:, 1]),
        "bias": values[:, 0].mean(),
        "group_percentile": _held(before[0], true, before[1]),
        "worst_percentile": _held(old[0], largest, old[1]),
        "bias_measured": values[:, 1].mean(),
        "among_holds": 100 * np.mean(held),
        "among": np.mean([len(worst.among) for worst in worsts]),
        "named_is_worst": 100 * np.mean(named),
        "sure": 100 * np.mean([worst.shares[each.value.argmax()] for worst, each in zip(worsts, means, strict=True)]),
        "width": np.mean(high - low),
    }


def _held(low: np.ndarray, value: np.ndarray, high: np.ndarray) -> float:
    return float(100 * np.mean((low <= value) & (value <= high)))


def table(frame: pd.DataFrame) -> str:
    """One line a cell, as Markdown."""
    heads = ["pool", "documents", "groups", "audits", "group", "worst", "gap", "bias of the worst"]
    heads += ["one of k holds", "k", "named is the worst", "it says", "percentile: group", "worst", "bias"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in frame.itertuples():
        cells = [str(row.pool), *(str(value) for value in (row.documents, row.groups, row.audits))]
        cells += [f"{value:.1f}" for value in (row.group, row.worst, row.gap)] + [f"{row.bias:+.4f}"]
        cells += [f"{row.among_holds:.0f}", f"{row.among:.1f}", f"{row.named_is_worst:.0f}", f"{row.sure:.0f}"]
        cells += [f"{row.group_percentile:.1f}", f"{row.worst_percentile:.1f}", f"{row.bias_measured:+.4f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the cells that are missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pool", action="append", help="all otherwise; may be repeated")
    parser.add_argument("--audits", type=int, default=250, help="per cell, each of two patterns")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    path = given.results / "coverage.csv"
    rows = pd.read_csv(path).to_dict("records") if path.is_file() else []
    for name in given.pool or POOLS:
        size = int((np.bincount(pool_of(name).groups) >= FEWEST).sum())
        for documents in DOCUMENTS:
            for groups in sorted({min(count, size) for count in GROUPS}):
                key = (name, documents, groups)
                if any((row["pool"], row["documents"], row["groups"]) == key for row in rows):
                    continue
                rows.append(cell(*key, given.audits, given.seed))
                pd.DataFrame(rows).to_csv(path, index=False, float_format="%.4f")
                print({name: round(x, 3) if isinstance(x, float) else x for name, x in rows[-1].items()}, flush=True)
    text = table(pd.DataFrame(rows))
    (given.results / "coverage.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
