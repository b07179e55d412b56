"""Which learning rate heals best, for each way of training; judged on ``select``, which healing itself may look at.

    python benchmarks/healing_rates.py --work DIR --tokens 15000 --out rates.csv

Three layers of the embedded model are gone; three passages per group of the set of ``healing.py`` are looked at.
Prints and writes a row per cell: the mean of the worse half's excess, the worst, the mean, and the seconds it took.
Cells that the file holds already are left out, so that the same command goes on.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from healing import pattern_of, set_of

import evop
from calibration import CalibrationSet
from evop.losses.objectives import cvar
from evop.reference import model_dir

GONE = ("layers.2", "layers.6", "layers.10")
RATES = {"lora": (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2), "full": (5e-4, 1e-3, 2e-3, 4e-3), "outputs": (1e-3, 2e-3, 6e-3)}
COLUMNS = ("pattern", "train", "rate", "batch_tokens", "weights", "seed", "tokens", "cvar", "worst", "mean", "seconds")


def main() -> None:
    """Heal once per cell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=15_000)
    parser.add_argument("--train", nargs="+", default=list(RATES))
    parser.add_argument("--rates", type=float, nargs="+")
    parser.add_argument("--batch-tokens", type=int, nargs="+", default=[2048])
    parser.add_argument("--weights", nargs="+", default=["uniform"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("rates.csv"))
    asked = parser.parse_args()
    calibration = set_of(asked.work / "set-to-look-little", looked_at=3)
    pattern = pattern_of(list(GONE), "layer", asked.work / "layers.json")
    cells = [
        {"pattern": pattern.name, "train": train, "rate": rate, "batch_tokens": size, "weights": weights,
         "seed": seed, "tokens": asked.tokens}
        for train in asked.train for rate in asked.rates or RATES[train] for size in asked.batch_tokens
        for weights in asked.weights for seed in asked.seeds
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        pruned = Path(temporary) / "pruned"
        evop.prune(model_dir(), pattern, pruned, parity=False)
        for cell in cells:
            if not done(asked.out, cell):
                write(asked.out, {**cell, **healed(pruned, calibration, Path(temporary) / "healed", cell)})


def healed(pruned: Path, calibration: CalibrationSet, out: Path, cell: dict[str, object]) -> dict[str, object]:
    """Heal with the options of a cell; what the kept weights lose on ``select``."""
    options = {name: cell[name] for name in ("train", "batch_tokens", "weights", "seed", "tokens")}
    begun = time.perf_counter()
    tokens = int(str(cell["tokens"]))
    result = evop.heal(
        model_dir(),
        pruned,
        calibration,
        out,
        learning_rate=cell["rate"],
        look_every=-(-tokens // 2),
        patience=0,
        **options,
    )
    shutil.rmtree(out)
    excess = np.array(list(result.file.best.excess.values()))
    return {
        "cvar": round(cvar(excess), 4),
        "worst": round(float(excess.max()), 4),
        "mean": round(float(excess.mean()), 4),
        "seconds": round(time.perf_counter() - begun),
    }


def done(out: Path, cell: dict[str, object]) -> bool:
    """Whether the file holds a cell."""
    if not out.is_file():
        return False
    with out.open() as file:
        return any(all(row[name] == str(value) for name, value in cell.items()) for row in csv.DictReader(file))


def write(out: Path, row: dict[str, object]) -> None:
    """Add a row to the file, and print it."""
    new = not out.is_file()
    with out.open("a") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(row, flush=True)


if __name__ == "__main__":
    main()
