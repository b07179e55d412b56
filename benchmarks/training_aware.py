"""Patterns chosen after a short training, after a refit, and as they are: as many tokens each, training counted.

    python benchmarks/training_aware.py                     # the embedded model; goes on where its CSV ends
    python benchmarks/training_aware.py --seeds 3 --tokens 4000000

Every search looks among least-squares levels by the divergence from the dense model, and may read so many tokens,
those that are trained on included: strategy darwin, DarwinLM's; the default strategy, its finalists refitted in
closed form before one is chosen (``--judge refit``); and the default strategy alone, its answer as it is, and
refitted afterwards, which takes three more readings of the text.

Judged as in ``recovery.py``: passages that nobody searched, chose or fitted on, and three domains kept away. Excess
over the dense model in nats per token. Writes ``training-aware.csv`` and ``training-aware.md``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import pandas as pd
from recovery import HOW, MAX_TOKENS, Cell, spread
from rivals import embedded_domains

from evop.evaluator import Evaluator
from evop.files.names import PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.reference import model_dir
from evop.removal.opened import open_pattern
from evop.removal.ranking import Ranking
from evop.stages.refit import refit
from evop.stages.search import search

SEARCHES: dict[str, dict[str, Any]] = {
    "darwin": {"strategy": "darwin"},
    "default, judged refitted": {"strategy": "surrogate", "judge": "refit"},
    "default": {"strategy": "surrogate"},
}
AFTER = "default, then refitted"


def rows(cell: Cell, tokens: int) -> list[dict[str, Any]]:
    """Search in every way, and judge the answers."""
    named, away = cell.parted
    calibration = cell.calibration(named, "named", cell.train_tokens)
    loaded = load_model(Checkpoint.find(cell.model), HOW["device"], HOW["dtype"])
    cuts, found = {}, {}
    for name, how in SEARCHES.items():
        out, begun = cell.folder / name.replace(", ", "-").replace(" ", "-"), time.perf_counter()
        result = search(
            cell.model, calibration, out,
            grain=cell.grain, deploy="any", remove=cell.remove, compensate="obs", loss="kl", max_tokens=MAX_TOKENS,
            min_group_tokens=96, tokens=tokens, seed=cell.seed, **HOW, **how,
        )  # fmt: skip
        spent = result.account.tokens
        trained = spent.get("tuning", spent.get("refit", 0))
        found[name] = {
            "patterns": result.account.evaluations, "tokens": spent["total"], "of the answer's weights": trained,
            "minutes": (time.perf_counter() - begun) / 60,
        }  # fmt: skip
        cuts[name] = open_pattern(out, loaded.checkpoint).cut
    after = cell.folder / "after"
    if not (after / PATTERN).is_file():
        refit(cell.model, cell.folder / "default", calibration, after, refit="chain", ridge=1.0, anchor=0, **HOW)
    cuts[AFTER], found[AFTER] = open_pattern(after, loaded.checkpoint).cut, found["default"]
    opened = open_pattern(cell.folder / "default", loaded.checkpoint)
    evaluator = Evaluator(loaded, opened.space, Ranking(), MAX_TOKENS, HOW["batch_size"], cache_mb=0)
    judged = cell.judged(evaluator, cuts, calibration, cell.calibration(away, "away"))
    return [{**row, **found[row["recovery"]]} for row in judged]


def table(frame: pd.DataFrame) -> str:
    """Medians over the seeds, and their range."""
    shown = [f"{split} {what}" for split in ("audit", "unseen", "other domains") for what in ("worst", "mean")]
    lines = [f"| search | {' | '.join(shown)} | patterns | million tokens |", "|---" * (len(shown) + 3) + "|"]
    for name, mine in frame.groupby("recovery", sort=False):
        cells = [*(spread(mine[column]) for column in shown), spread(mine["patterns"], ".0f")]
        lines.append(f"| {name} | {' | '.join(cells)} | {spread(mine['tokens'] / 1e6, '.2f')} |")
    return (
        f"Medians over {frame['seed'].nunique()} seed(s), and the range where there are several.\n\n"
        + "\n".join(lines)
        + "\n"
    )


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--grain", default="mixed")
    parser.add_argument("--remove", type=float, default=0.25)
    parser.add_argument("--tokens", type=int, default=1_000_000, help="of each search")
    parser.add_argument("--train-tokens", type=int, default=2000, help="a domain")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/training-aware"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    written = given.results / "training-aware.csv"
    frame = pd.read_csv(written) if written.is_file() else pd.DataFrame()
    for seed in range(given.seeds):
        if frame.empty or seed not in set(frame["seed"]):
            where = (given.work, given.grain, given.remove, seed)
            cell = Cell(str(model_dir()), tuple(embedded_domains()), given.train_tokens, *where, loss="kl")
            frame = pd.concat([frame, pd.DataFrame(rows(cell, given.tokens))])
            given.results.mkdir(parents=True, exist_ok=True)
            frame.to_csv(written, index=False, float_format="%.5f")
    written.with_suffix(".md").write_text(table(frame), encoding="utf-8")


if __name__ == "__main__":
    main()
