"""What do thinned blocks lose with nothing for what left them, with a bias, and with least-squares weights?

    python benchmarks/compensation.py                    # half an hour on two cores; goes on where it was
    python benchmarks/compensation.py --shape channel-0.5

The embedded model and corpora, the calibration set of ``rivals.py``. Shapes: half of the channels of every MLP, one
pattern; and searches by the surrogate over channels, and over heads and channels. Every search may score as many
tokens, what compensation takes included. What is judged is ``audit``, text that no search saw: the mean and the worst
of its groups. Writes ``compensation.csv`` and ``compensation.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rivals import ASKED, MAX_TOKENS, Bench, embedded_domains

from calibration import build_calibration_set
from evop.evaluator import Evaluator
from evop.losses.table import excess
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.reference import model_dir
from evop.removal.opened import open_pattern
from evop.searching.search_file import SearchFile
from evop.stages.search import search
from evop.tokens.passages import tokenize

TOKENS = 250_000
SHAPES: dict[str, dict[str, Any]] = {
    "uniform-half": {"grain": "channel", "remove": 0.375, "deploy": "stock", "strategy": "oneshot"},
    "channel-0.25": {"grain": "channel", "remove": 0.25},
    "mixed-0.25": {"grain": "mixed", "remove": 0.25},
    "channel-0.5": {"grain": "channel", "remove": 0.5},
}
"""Three eighths of the decoder's parameters are half of all channels."""
HOWS = ("none", "bias", "obs", "obs, train")
"""The last learns from the split ``train``, of so many estimated tokens a domain; the others see a set without it."""
TRAIN_TOKENS = 10_000


def cells(shapes: Iterable[str]) -> list[tuple[str, str]]:
    """All that is compared; a stock model of this architecture has no biases."""
    both = product(shapes, HOWS)
    return [(shape, how) for shape, how in both if how != "bias" or SHAPES[shape].get("deploy") != "stock"]


def benches(work: Path) -> dict[str, Bench]:
    """The set that a way of compensating sees: searched, chosen and judged on alike."""
    plain, train = (Bench(str(model_dir()), embedded_domains(), work / name) for name in ("plain", "train"))
    place = train.work / "set-0"
    if not place.is_dir():
        recipe = plain.calibration(0).manifest.recipe
        build_calibration_set(recipe.model_copy(update={"train_tokens": TRAIN_TOKENS})).save(place)
    return {how: train if how.endswith("train") else plain for how in HOWS}


def found(bench: Bench, shape: str, how: str) -> Path:
    """Search a cell, unless that is done: the folder of the run."""
    out = bench.work / f"{shape}-{how.partition(',')[0]}"
    if not (out / "pattern.json").is_file():
        asked = {**ASKED, "strategy": "surrogate", "tokens": TOKENS, **SHAPES[shape], "compensate": how.split(",")[0]}
        search(bench.model, bench.work / "set-0", out, **asked)
    return out


def judged(bench: Bench, run: Path) -> dict[str, float]:
    """Measure the answer of a run on ``audit``: what the mean and the worst group lose."""
    checkpoint = Checkpoint.find(bench.model)
    loaded, opened = load_model(checkpoint, "cpu", "float32"), open_pattern(run, checkpoint)
    passages = tokenize(bench.calibration(0).split("audit"), loaded.tokenizer, MAX_TOKENS)
    evaluator = Evaluator.of(loaded, opened.space, MAX_TOKENS, 4)
    dense, pruned = evaluator.dense(passages), evaluator.of_cuts([opened.cut], passages)[0]
    lost = excess(pruned.by_group, dense.by_group)
    account = SearchFile.read(run / "search.json")
    return {
        "removed": opened.file.reached.block_params,
        "evaluations": account.evaluations,
        "tokens": account.tokens["total"],
        "audit_mean": float(np.mean(list(lost.values()))),
        "audit_worst": max(lost.values()),
    }


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/compensation"), help="the set and the runs")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where tables are written")
    parser.add_argument("--shape", action="append", choices=tuple(SHAPES), help="all otherwise; may be repeated")
    parser.add_argument("--how", action="append", choices=HOWS, help="all otherwise; may be repeated")
    given = parser.parse_args()
    bench_of = benches(given.work)
    place, rows = given.results / "compensation.csv", []
    wanted = [(shape, how) for shape, how in cells(given.shape or SHAPES) if how in (given.how or HOWS)]
    for shape, how in wanted:
        rows.append({"shape": shape, "compensate": how, **judged(bench_of[how], found(bench_of[how], shape, how))})
        print(rows[-1], flush=True)
    frame = pd.DataFrame(rows).round(4)
    given.results.mkdir(parents=True, exist_ok=True)
    frame.to_csv(place, index=False)
    heads = ("shape", "compensate", "removed", "evaluations", "tokens", "audit mean", "audit worst")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [
        f"| {row.shape} | {row.compensate} | {row.removed:.1%} | {row.evaluations} | {row.tokens:,} | "
        f"{row.audit_mean:.3f} | {row.audit_worst:.3f} |"
        for row in frame.itertuples()
    ]
    place.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
