"""Tokens with massive activations: what a refit gives back where it counts them, and where it leaves them out.

    python benchmarks/smollm2.py                               # makes the runs that are refitted here
    python benchmarks/massive.py --runs runs/smollm2/seed0     # ten minutes of one core

The answers of a calibration set's searches, each refitted once (chain, ridge 1) by all text that the set has to learn
from, in both ways; excess over the dense model in nats per token on ``select``. Writes ``massive.md``.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import torch

from calibration import CalibrationSet
from evop.evaluator import Evaluator
from evop.importance import massive
from evop.losses.table import excess
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recovery.chain import ChainRefit
from evop.recovery.text import LearningText
from evop.removal.cut import Cut
from evop.removal.opened import open_pattern
from evop.removal.ranking import Ranking
from evop.tokens.passages import tokenize

RIDGE, MAX_TOKENS, BATCH = 1.0, 128, 4
FAR = massive.FAR


def main() -> None:
    """Refit every answer in both ways, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=".models/smollm2")
    parser.add_argument("--runs", type=Path, default=Path("runs/smollm2/seed0"), help="a seed of smollm2.py")
    parser.add_argument("--only", nargs="*", default=["default"], help="its contenders")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    loaded = load_model(Checkpoint.find(given.model), "cpu", "float32")
    calibration = CalibrationSet.load(given.runs / "set")
    text = LearningText.of(calibration, loaded.tokenizer, MAX_TOKENS)
    passages = tokenize(calibration.split("select"), loaded.tokenizer, MAX_TOKENS)
    lines = [f"| searched | refitted by {text.tokens:,} tokens | worst group | mean |", "|---|---|--:|--:|"]
    for name in given.only:
        opened = open_pattern(given.runs / name / "search", loaded.checkpoint)
        cut = replace(opened.cut, weights={})
        evaluator = Evaluator(loaded, opened.space, Ranking(), BATCH)
        cuts = [Cut(), cut]
        for massive.FAR in (math.inf, FAR):
            cuts.append(replace(cut, weights=ChainRefit(loaded, cut, text).weights(RIDGE)))
        dense, *tables = evaluator.of_cuts(cuts, passages)
        for word, table in zip(("not at all", "all counted", "massive ones left out"), tables, strict=True):
            lost = list(excess(table.by_group, dense.by_group).values())
            lines.append(f"| {name} | {word} | {max(lost):.3f} | {sum(lost) / len(lost):.3f} |")
            print(lines[-1], flush=True)
    (given.results / "massive.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
