"""The table of ``benchmarks/metrics.py``."""

from __future__ import annotations

import pandas as pd

SPLITS = ("audit", "unseen", "other domains")
COLUMNS = [f"{split} {what}" for split in SPLITS for what in ("worst", "mean")]
SEARCHED = ("OptiShear's", "evolved", "carried over", "flap, searched")
"""How the names of rows begin that are no published metric taken as it is."""


def table(frame: pd.DataFrame) -> str:
    """Medians over seeds and their range, and evolved metrics against published ones; as Markdown."""
    lines = [f"| grain | weights | metric | {' | '.join(COLUMNS)} |", "|---" * (3 + len(COLUMNS)) + "|"]
    for (grain, weights), cell in frame.groupby(["grain", "weights"], sort=False):
        for metric in dict.fromkeys(cell["metric"]):
            mine = cell[cell["metric"] == metric]
            lines.append(f"| {grain} | {weights} | {metric} | {' | '.join(spread(mine[c]) for c in COLUMNS)} |")
    seeds = frame.groupby("grain", sort=False)["seed"].nunique()
    counted = ", ".join(f"{grain}: {count}" for grain, count in seeds.items())
    return (
        "Excess over the dense model in nats per token: medians over seeds, and the range where there are several\n"
        f"(seeds: {counted}).\n\n" + "\n".join(lines) + "\n\n" + against_published(frame)
    )


def against_published(frame: pd.DataFrame) -> str:
    """What searched metrics lose beside the published one that was best on the text that was searched on."""
    lines = [f"| grain | weights | metric | {' | '.join(COLUMNS)} |", "|---" * (3 + len(COLUMNS)) + "|"]
    frame, keys = frame.reset_index(drop=True), ["grain", "seed"]
    searched = frame["metric"].str.startswith(SEARCHED)
    pruned = frame[~searched & (frame["weights"] == "as pruned")]
    best = pruned.loc[pruned.groupby(keys)["claimed"].idxmin()].set_index(keys)["metric"]
    for (grain, weights), cell in frame.groupby(["grain", "weights"], sort=False):
        of_best = cell[[best[grain, seed] == metric for seed, metric in zip(cell["seed"], cell["metric"], strict=True)]]
        base = of_best.set_index("seed")[COLUMNS]
        for metric in dict.fromkeys(cell["metric"][cell["metric"].str.startswith(SEARCHED)]):
            change = cell[cell["metric"] == metric].set_index("seed")[COLUMNS] - base
            lines.append(
                f"| {grain} | {weights} | {metric} | {' | '.join(spread(change[c], '+.3f') for c in COLUMNS)} |"
            )
    names = ", ".join(f"{grain}: {' '.join(best[grain])}" for grain in dict.fromkeys(frame["grain"]))
    return (
        "Beside the published metric whose pattern was best on search and select, seed by seed; below zero is better\n"
        f"({names}).\n\n" + "\n".join(lines) + "\n"
    )


def spread(values: pd.Series, form: str = ".3f") -> str:
    """Median and range."""
    if len(values) == 1:
        return f"{values.iloc[0]:{form}}"
    return f"{values.median():{form}} [{values.min():{form}}, {values.max():{form}}]"
