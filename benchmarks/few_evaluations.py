"""Is the default behind a ranking or greedy where a search may measure only 20 or 40 patterns?

    python benchmarks/few_evaluations.py            # the embedded model; ten minutes of one core, resumable
    python benchmarks/few_evaluations.py --table    # the table of the searches that are done

A seed draws the calibration set (four of the embedded domains, two clusters each, few passages) and seeds the searches.
With 20 evaluations none of the three strategies has measured all 24 sub-blocks alone; with 40 greedy is in its second
step of four to six. ``surrogate`` is the default. A quarter of the decoder's parameters leaves.

Writes ``few-evaluations.csv`` (one row a search: what its answer claims, its worst and mean excess on ``audit`` in nats
per token, the tokens it scored) and ``few-evaluations.md``.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rivals_table import spread

from calibration import CalibrationSet, build_calibration_set
from evop.evaluator import Evaluator
from evop.losses.table import excess
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recipes.words import calibration_recipe
from evop.reference import corpus_files, model_dir
from evop.removal.opened import open_pattern
from evop.removal.space import pattern_space
from evop.stages.search import search
from evop.tokens.passages import tokenize

SEEDS, DEPLOYS, EVALUATIONS = range(3), ("any", "stock"), (20, 40)
STRATEGIES = ("surrogate", "greedy", "oneshot")
MAX_TOKENS = 128
HOW: dict[str, Any] = {"remove": 0.25, "max_tokens": MAX_TOKENS, "min_group_tokens": 100, "device": "cpu"}


def calibration(work: Path, seed: int) -> Path:
    """The set of a seed, of every second domain from one that the seed says; built where there is none."""
    folder, files = work / f"set{seed}", corpus_files()
    if not folder.is_dir():
        recipe = calibration_recipe(
            [f"{name}={files[name]}" for name in sorted(files)[seed % 2 :: 2]], group_by=["document"], clusters=2,
            embedder="lexical", passages=4, passage_chars=500, limit=400, min_group_tokens=200, select_passages=3,
            audit_passages=8, seed=seed,
        )  # fmt: skip
        build_calibration_set(recipe).save(folder)
    return folder


def measured(given: argparse.Namespace, done: pd.DataFrame) -> pd.DataFrame:
    """Run what is missing: the rows of all searches."""
    loaded = load_model(Checkpoint.find(model_dir()), "cpu", "float32")
    evaluator = Evaluator.of(loaded, pattern_space(loaded.checkpoint, "subblock"), MAX_TOKENS)
    keys = ["seed", "deploy", "evaluations", "strategy"]
    known = set() if done.empty else set(done[keys].itertuples(index=False, name=None))
    for seed in SEEDS:
        cells = [cell for cell in product([seed], DEPLOYS, EVALUATIONS, STRATEGIES) if cell not in known]
        if not cells:
            continue
        folder = calibration(given.work, seed)
        passages = tokenize(CalibrationSet.load(folder).split("audit"), loaded.tokenizer, MAX_TOKENS)
        dense = evaluator.dense(passages).by_group
        for cell in cells:
            _, deploy, evaluations, strategy = cell
            run = given.work / "-".join(map(str, cell))
            asked = {"deploy": deploy, "evaluations": evaluations, "strategy": strategy, "seed": seed}
            account = search(model_dir(), folder, run, dtype="float32", **HOW, **asked).account
            (losses,) = evaluator.of_cuts([open_pattern(run, loaded.checkpoint).cut], passages)
            lost = list(excess(losses.by_group, dense).values())
            row = {"claimed": min(finalist.pooled for finalist in account.finalists), "audit worst": max(lost)}
            row |= {"audit mean": sum(lost) / len(lost), "tokens": account.tokens["total"]}
            done = pd.concat([done, pd.DataFrame([dict(zip(keys, cell, strict=True)) | row])])
            done.to_csv(given.results / "few-evaluations.csv", index=False, float_format="%.5f")
            print(*cell, {name: round(value, 3) for name, value in row.items()}, flush=True)
    return done


def table(rows: pd.DataFrame) -> str:
    """Medians over seeds and their range; in how many seeds the default claims no more than each other one."""
    columns = ["claimed", "audit worst", "audit mean"]
    lines = [f"| deploy | evaluations | strategy | {' | '.join(columns)} | tokens | the default claims no more in |"]
    lines += ["|---" * (5 + len(columns)) + "|"]
    for deploy, evaluations in product(DEPLOYS, EVALUATIONS):
        cell = rows[(rows["deploy"] == deploy) & (rows["evaluations"] == evaluations)].set_index("seed")
        ours = cell[cell["strategy"] == STRATEGIES[0]]["claimed"]
        for strategy in STRATEGIES:
            own = cell[cell["strategy"] == strategy]
            won = ours.reindex(own.index) <= own["claimed"] + 1e-9
            ahead = "" if strategy == STRATEGIES[0] else f"{int(won.sum())} of {len(won)}"
            numbers = " | ".join(spread(own[column]) for column in columns)
            lines.append(
                f"| {deploy} | {evaluations} | {strategy} | {numbers} | {own['tokens'].median():,.0f} | {ahead} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/few-evaluations"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where tables are written")
    parser.add_argument("--table", action="store_true", help="write the table of what is done, run nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    written = given.results / "few-evaluations.csv"
    rows = pd.read_csv(written) if written.is_file() else pd.DataFrame()
    rows = rows if given.table else measured(given, rows)
    (given.results / "few-evaluations.md").write_text(table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
