"""What do thinned blocks lose with nothing for what left them, with a bias, and with least-squares weights?

    python benchmarks/compensation.py                    # half an hour on two cores; goes on where it was
    python benchmarks/compensation.py --shape channel-0.5

The embedded model and corpora, the calibration set of ``rivals.py``. Shapes: half of the channels of every MLP, one
pattern; and searches by the surrogate over channels, and over heads and channels. Every search may score as many
tokens, what compensation takes included. Beside them stands the answer of the search without compensation, given
least-squares weights afterwards: fitted on the passages of ``search``, and on the larger split ``train``. What is
judged is ``audit``, text that no search saw: the mean and the worst of its groups. Writes ``compensation.csv`` and
``compensation.md``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rivals import ASKED, MAX_TOKENS, Bench, embedded_domains

from calibration import CalibrationSet, build_calibration_set
from evop.evaluator import Evaluator
from evop.importance.moments import gathered_moments
from evop.losses.table import excess
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.reference import model_dir
from evop.removal.cut import Cut
from evop.removal.level_weights import LevelWeights
from evop.removal.opened import open_pattern
from evop.removal.ranking import Ranking
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
HOWS = ("none", "bias", "obs")
"""What searches are asked to compensate by."""
AFTER = {"none, obs after": "search", "none, obs after, on train": "train"}
"""What the answer without compensation gets afterwards -> the split that it is fitted on."""
TRAIN_TOKENS = 10_000
"""Estimated tokens of ``train`` a domain; searches see a set without it."""


def searched(bench: Bench, shape: str, how: str) -> Path | None:
    """Search a cell, unless that is done: the folder of the run; None where a stock model cannot have a bias."""
    if how == "bias" and SHAPES[shape].get("deploy") == "stock":
        return None
    out = bench.work / f"{shape}-{how}"
    if not (out / "pattern.json").is_file():
        asked = {**ASKED, "strategy": "surrogate", "tokens": TOKENS, **SHAPES[shape], "compensate": how}
        search(bench.model, bench.work / "set-0", out, **asked)
    return out


def with_train(bench: Bench) -> CalibrationSet:
    """The set that is searched on, and text to learn from beside it."""
    place = bench.work / "set-train"
    if not place.is_dir():
        recipe = bench.calibration(0).manifest.recipe
        build_calibration_set(recipe.model_copy(update={"train_tokens": TRAIN_TOKENS})).save(place)
    return CalibrationSet.load(place)


def judged(bench: Bench, shape: str) -> list[dict[str, object]]:
    """Measure the answers of a shape on ``audit``: what the mean and the worst group lose."""
    runs = {how: run for how in HOWS if (run := searched(bench, shape, how))}
    checkpoint = Checkpoint.find(bench.model)
    loaded, calibration = load_model(checkpoint, "cpu", "float32"), with_train(bench)
    texts = {
        split: tokenize(calibration.split(split), loaded.tokenizer, MAX_TOKENS)
        for split in ("search", "train", "audit")
    }
    opened = {how: open_pattern(run, checkpoint) for how, run in runs.items()}
    cuts = {how: each.cut for how, each in opened.items()}
    evaluator = Evaluator.of(loaded, opened["none"].space, MAX_TOKENS, 4)
    for how, split in AFTER.items():
        ranking = Ranking(moments=dict(gathered_moments(evaluator, texts[split])))
        cuts[how] = LevelWeights(loaded).reweighted(cuts["none"], ranking)
    dense, *pruned = evaluator.of_cuts([Cut(), *cuts.values()], texts["audit"])
    rows = []
    for how, table in zip(cuts, pruned, strict=True):
        base = how.partition(",")[0]
        lost, account = excess(table.by_group, dense.by_group), SearchFile.read(runs[base] / "search.json")
        rows.append(
            {
                "shape": shape,
                "compensate": how,
                "removed": opened[base].file.reached.block_params,
                "evaluations": account.evaluations,
                "audit_mean": float(np.mean(list(lost.values()))),
                "audit_worst": max(lost.values()),
            }
        )
    return rows


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/compensation"), help="the set and the runs")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where tables are written")
    parser.add_argument("--shape", action="append", choices=tuple(SHAPES), help="all otherwise; may be repeated")
    given = parser.parse_args()
    bench = Bench(str(model_dir()), embedded_domains(), given.work)
    bench.calibration(0)
    place, rows = given.results / "compensation.csv", []
    for shape in given.shape or SHAPES:
        rows += judged(bench, shape)
        print(pd.DataFrame(rows).to_string(), flush=True)
    frame = pd.DataFrame(rows).round(4)
    given.results.mkdir(parents=True, exist_ok=True)
    frame.to_csv(place, index=False)
    heads = ("shape", "compensate", "removed", "evaluations", "audit mean", "audit worst")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [
        f"| {row.shape} | {row.compensate} | {row.removed:.1%} | {row.evaluations} | "
        f"{row.audit_mean:.3f} | {row.audit_worst:.3f} |"
        for row in frame.itertuples()
    ]
    place.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
