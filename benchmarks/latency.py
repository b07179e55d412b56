"""Predicted beside measured time: random patterns of budgets in time, at several grains, on the embedded model.

OMP_NUM_THREADS=1 python benchmarks/latency.py --out benchmarks/results/latency.md

A table of times is measured once a grain. Then, for each budget, a random pattern that meets it is drawn and the
pruned model (same classes and shapes as ``evop prune`` writes) is timed in turns with the dense one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from evop.model.checkpoint import Checkpoint
from evop.model.loaded import choose_device, choose_dtype
from evop.reference import model_dir
from evop.removal.cut import Cut
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from evop.timing.measure import measured_table
from evop.timing.speed import measure_speeds
from evop.timing.stand_in import stand_in
from evop.timing.table import LatencyTable
from evop.timing.workload import Workload
from patterns import Budget, PatternSpace

GRAINS = ("subblock", "channel")
BUDGETS = (0.125, 0.25, 0.375)
SEED = 0
TABLE, PAIR = 50.0, 15.0
"""Seconds after which no further round of a table, or of a pair of models, begins."""
HEAD = (
    "| grain | budget: blocks' time | block parameters gone | predicted time of the model | measured | quartiles |\n"
    "|---|---|---|---|---|---|"
)


def rows(checkpoint: Checkpoint, table: LatencyTable, space: PatternSpace, device: str) -> Iterator[str]:
    """A row a budget that the grain can meet."""
    where = choose_device(device)
    dense = stand_in(checkpoint, Cut(), where, table.dtype)
    for remove in BUDGETS:
        most = sum(space.parts[i].removed[-1].latency for i in space.free)
        if remove * space.blocks.latency > most:
            continue
        pattern = Budget(space, remove, "latency").draw(np.random.default_rng(SEED))
        pruned = stand_in(checkpoint, Ranking.random(space, SEED).cut_of(space, pattern), where, table.dtype)
        low, share, high = measure_speeds({"dense": dense, "pruned": pruned}, table.workload, PAIR)["pruned"].share
        reached = space.reached(pattern)
        assert reached.latency is not None
        yield (
            f"| {space.grain} | {remove:.1%} | {reached.block_params:.1%} | {1 - reached.latency:.1%} | {share:.1%} | "
            f"{low:.1%} … {high:.1%} |"
        )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(model_dir()))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--context", type=int)
    parser.add_argument("--decode", type=int)
    given = parser.parse_args()
    checkpoint = Checkpoint.find(given.model)
    workload = Workload.of(checkpoint.resolved, given.batch, given.context, given.decode)
    dtype = choose_dtype(given.dtype, choose_device(given.device))
    lines = []
    for grain in GRAINS:
        space = pattern_space(checkpoint, grain, "any", ())
        table = measured_table(checkpoint, space, workload, given.device, dtype, TABLE)
        if not lines:
            lines += [
                f"{checkpoint.name.rpartition('/')[2]}: {table.words}, torch {table.torch}; rounds "
                f"of the first table differ by {table.unrest:.0%} of a block.\n",
                HEAD,
            ]
            print("\n".join(lines), flush=True)
        for line in rows(checkpoint, table, table.timed(space), given.device):
            lines.append(line)
            print(line, flush=True)
    if given.out:
        given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
