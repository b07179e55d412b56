"""Patterns chosen after a short training, after a refit, and as they are: as many tokens each, training counted.

    python benchmarks/training_aware.py                     # the embedded model; goes on where its CSV ends
    python benchmarks/training_aware.py --seeds 3 --tokens 2000000

Every search looks among least-squares levels by the divergence from the dense model, and may read so many tokens,
those that are trained on included: strategy darwin, DarwinLM's; the strategy surrogate, its finalists refitted in
closed form before one is chosen (``--judge refit``); and surrogate alone. The answers of the first and the last are
judged as they are, and once more with the weights that a chain refit solves for in place of their own: what the choice
of the pattern alone is worth. The refit reads the text three more times, which is counted.

Judged as in ``recovery.py``: passages that nobody searched, chose or fitted on, and three domains kept away. Excess
over the dense model in nats per token. Writes ``training-aware.csv`` and ``training-aware.md``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from recovery import HOW, MAX_TOKENS, Cell, spread
from rivals import embedded_domains

from evop.evaluator import Evaluator
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recovery.text import READINGS
from evop.reference import model_dir
from evop.removal.opened import open_pattern
from evop.removal.ranking import Ranking
from evop.stages.search import search

SEARCHES: dict[str, dict[str, Any]] = {
    "darwin": {"strategy": "darwin"},
    "surrogate, judge refit": {"strategy": "surrogate", "judge": "refit"},
    "surrogate": {"strategy": "surrogate"},
}
AFTER = {"darwin": "darwin, then refitted", "surrogate": "surrogate, then refitted"}
"""Searches whose answers are refitted too, and what that is called."""


def rows(cell: Cell, tokens: int) -> list[dict[str, Any]]:
    """Search in every way, and judge the answers."""
    named, away = cell.parted
    calibration = cell.calibration(named, "named", cell.train_tokens)
    loaded = load_model(Checkpoint.find(cell.model), HOW["device"], HOW["dtype"])
    cuts, found = {}, {}
    for name, how in SEARCHES.items():
        out = cell.folder / name.replace(", ", "-").replace(" ", "-")
        result = search(
            cell.model, calibration, out,
            grain=cell.grain, deploy="any", remove=cell.remove, compensate="obs", loss="kl", max_tokens=MAX_TOKENS,
            min_group_tokens=96, tokens=tokens, seed=cell.seed, **HOW, **how,
        )  # fmt: skip
        spent = result.account.tokens
        found[name] = {
            "patterns": result.account.evaluations, "tokens": spent["total"],
            "learned": spent.get("tuning", 0) + spent.get("refit", 0),
        }  # fmt: skip
        cuts[name] = open_pattern(out, loaded.checkpoint).cut
        if name in AFTER:
            after = cell.refitted(AFTER[name], out, calibration, {"refit": "chain", "ridge": 1.0, "anchor": 0})
            assert after.file.refit is not None
            more = READINGS * after.file.refit.tokens
            cuts[AFTER[name]], found[AFTER[name]] = after.cut, dict(found[name])
            found[AFTER[name]]["tokens"] += more
            found[AFTER[name]]["learned"] += more
    opened = open_pattern(cell.folder / "surrogate", loaded.checkpoint)
    evaluator = Evaluator(loaded, opened.space, Ranking(), MAX_TOKENS, HOW["batch_size"], cache_mb=0)
    judged = cell.judged(evaluator, cuts, calibration, cell.calibration(away, "away"))
    return [{**row, **found[row["recovery"]]} for row in judged]


def table(frame: pd.DataFrame) -> str:
    """Medians over the seeds, and their range."""
    shown = [f"{split} {what}" for split in ("audit", "unseen", "other domains") for what in ("worst", "mean")]
    heads = ["search", *shown, "patterns", "million tokens", "of these learned from"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, mine in frame.groupby("recovery", sort=False):
        cells = [*(spread(mine[column]) for column in shown), spread(mine["patterns"], ".0f")]
        cells += [f"{mine[column].median() / 1e6:.2f}" for column in ("tokens", "learned")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return (
        f"Excess over the dense model in nats per token: medians over {frame['seed'].nunique()} seed(s), and the\n"
        "range where there are several.\n\n" + "\n".join(lines) + "\n"
    )


def main() -> None:
    """Run what is missing, and write the table after every seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--grain", default="mixed")
    parser.add_argument("--remove", type=float, default=0.25)
    parser.add_argument("--tokens", type=int, default=600_000, help="of each search")
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
