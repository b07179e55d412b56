"""Which objective keeps the worst group lowest on text nobody searched? Whole searches, sample sizes small to large.

    python benchmarks/objectives.py                      # hours on two cores; goes on where its CSV ends
    python benchmarks/objectives.py --grain subblock --passages 2 --passages 4
    python benchmarks/objectives.py --table              # the table of the cells that are done

The embedded model; of the eight embedded domains, five are searched and three are kept away, others for every seed. A
quarter of the decoder leaves, under ``any``, by the default strategy. ``--passages`` are the short passages (47 scored
tokens) that the search has of every group; a search may score what 40 patterns take. Objectives are the worst group,
``cvar`` of the worse half, the mean, and ``ranked``, another one that grows with every group: the mean weighted by
rank, the group that loses most G times as much as the one that loses least.

Two choices among the finalists are set apart: by the objective on search and select together, and by that on select
alone. What is judged is nothing that was searched or chosen on: audit (new passages of the same groups), unseen (whole
clusters) and the three domains. Writes ``objectives.csv`` and ``objectives.md``.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from processes import processes
from rivals import embedded_domains

from calibration import CalibrationSet, build_calibration_set
from evop.fitness.search_evaluator import search_evaluator
from evop.losses.objectives import OBJECTIVES
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recipes.search import SearchRecipe
from evop.recipes.words import calibration_recipe
from evop.reference import model_dir
from evop.removal.ranking import Ranking
from evop.searching.folder import SearchRun
from evop.searching.plan import searched_space
from evop.searching.search_file import SearchFile
from evop.stages.search import search
from evop.tokens.passages import tokenize
from patterns import TrialLog, finalists

MAX_TOKENS, PATTERNS = 48, 40
KEPT_AWAY = 3
"""Domains that a seed keeps away from the search."""
HOW: dict[str, Any] = {"dtype": "float32", "device": "cpu", "batch_size": 8}
CONTENDERS: dict[str, dict[str, Any]] = {
    "worst": {"objective": "worst"},
    "cvar, worse half": {"objective": "cvar"},
    "ranked": {"objective": "ranked"},
    "mean": {"objective": "mean"},
}
BEFORE = ("worst", "select")
"""What the default was before: differences are from it."""


def ranked(excess: np.ndarray) -> float:
    """Average the groups' excess weighted by rank: a spectral risk measure (Acerbi, 2002) with linear weights."""
    weights = np.arange(1, len(excess) + 1)
    return float(np.sort(excess) @ weights / weights.sum())


OBJECTIVES["ranked"] = ranked


@dataclass(frozen=True)
class Cell:
    """Searches of one sample by every objective."""

    grain: str
    passages: int
    seed: int
    work: Path

    @property
    def folder(self) -> Path:
        """Where its runs and rows lie."""
        return self.work / f"{self.grain}-{self.passages}-seed{self.seed}"

    @property
    def domains(self) -> tuple[list[str], list[str]]:
        """The domains that are searched, and those kept away."""
        names = embedded_domains()
        away = [names[(KEPT_AWAY * self.seed + i) % len(names)] for i in range(KEPT_AWAY)]
        return [name for name in names if name not in away], away

    def calibration(self, domains: list[str], name: str) -> CalibrationSet:
        """Three clusters a domain to search, and one unseen."""
        folder = self.work / f"set-{name}-{self.seed}"
        if not folder.is_dir():
            recipe = calibration_recipe(
                domains, group_by=["document"], clusters=4, embedder="lexical", hold_out=0.25,
                passages=3 * self.passages,
                passage_chars=250, limit=2500, min_group_tokens=120, select_passages=4, audit_passages=24,
                seed=self.seed,
            )  # fmt: skip
            build_calibration_set(recipe).save(folder)
        return CalibrationSet.load(folder)

    def recipe(self, contender: str, tokens: int) -> dict[str, Any]:
        """What a search is asked."""
        return {
            "grain": self.grain, "deploy": "any", "max_tokens": MAX_TOKENS, "min_group_tokens": 48, "tokens": tokens,
            "seed": self.seed, "store": str(self.folder / "store"), **HOW, **CONTENDERS[contender],
        }  # fmt: skip

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells it from others, in the table."""
        return self.grain, self.passages, self.seed

    def run(self) -> list[dict[str, Any]]:
        """Search by every objective, measure the answers; the rows of the table."""
        searched, away = self.domains
        calibration = self.calibration(searched, f"searched-{self.passages}")
        loaded = load_model(Checkpoint.find(str(model_dir())), HOW["device"], HOW["dtype"])
        size = {
            split: tokenize(calibration.split(split), loaded.tokenizer, MAX_TOKENS).total
            for split in ("search", "select")
        }
        tokens = PATTERNS * size["search"] + 10 * size["select"]
        chosen = {}
        for contender in CONTENDERS:
            out = self.folder / contender.replace(", ", "-").replace(" ", "-")
            search(model_dir(), calibration, out, **self.recipe(contender, tokens))
            chosen.update(_chosen(contender, out))
        # The order of units is the same for all: it depends on the sample, not on the objective.
        recipe = SearchRecipe.of(**self.recipe("worst", tokens))
        ranking = Ranking.load(SearchRun(out).ranking) if self.grain == "channel" else Ranking()
        space = searched_space(loaded.checkpoint, recipe)
        evaluator = search_evaluator(recipe, loaded, space).with_ranking(ranking)
        asked = [evaluator.space.dense, *chosen.values()]
        rows: list[dict[str, Any]] = [
            {"grain": self.grain, "passages": self.passages, "seed": self.seed, "objective": objective, "chosen": by}
            for objective, by in chosen
        ]
        away_set = self.calibration(away, "away")
        judged = {
            "audit": calibration.split("audit"),
            "unseen": calibration.split("unseen"),
            "other domains": [*away_set.split("audit"), *away_set.split("unseen")],
        }
        for split, passages in judged.items():
            dense, *tables = evaluator.losses(asked, tokenize(passages, loaded.tokenizer, MAX_TOKENS))
            for row, table in zip(rows, tables, strict=True):
                excess = [table.by_group[group] - dense.by_group[group] for group in dense.by_group]
                row |= {f"{split} worst": max(excess), f"{split} mean": float(np.mean(excess))}
        return rows


def _chosen(contender: str, out: Path) -> dict[tuple[str, str], Any]:
    """The finalist that is best on search and select together, and the one that is best on select."""
    account = SearchFile.read(out / "search.json")
    trials = TrialLog.open(out / "trials.jsonl").trials
    best = finalists(trials, max(trial.fidelity for trial in trials))
    places = range(len(account.finalists))
    found = {}
    for by, value in (("both", "pooled"), ("select", "select")):
        at = min(places, key=lambda i: (getattr(account.finalists[i], value), account.finalists[i].search))
        found[contender, by] = best[at].pattern
    return found


def table(frame: pd.DataFrame) -> str:
    """Mean difference from the default before over seeds and standard error, in thousandths of a nat, as Markdown."""
    keys, where = ["grain", "passages", "seed"], ["audit", "unseen", "other domains"]
    columns = [f"{split} {what}" for split in where for what in ("worst", "mean")]
    wide = frame.set_index([*keys, "objective", "chosen"])[columns]
    before = wide.xs(BEFORE, level=("objective", "chosen"))
    seeds = frame.groupby("passages")["seed"].nunique()
    lines = [
        f"| grain | passages a group | objective, finalists chosen on | {' | '.join(columns)} |",
        "|---" * (3 + len(columns)) + "|",
    ]
    for grain, size in itertools.product(frame["grain"].unique(), seeds.index):
        mine = frame[(frame["grain"] == grain) & (frame["passages"] == size)]
        for contender, by in itertools.product(CONTENDERS, ("both", "select")):
            rows = mine[(mine["objective"] == contender) & (mine["chosen"] == by)].set_index(keys)[columns]
            if rows.empty:
                continue
            change = 1000 * (rows - before.loc[rows.index])
            spread = change.std(ddof=1) / len(change) ** 0.5
            if (contender, by) == BEFORE:
                cells = [f"{value:.3f}" for value in rows.mean()]
            else:
                cells = [f"{change[c].mean():+.0f} ± {spread[c]:.0f}" for c in columns]
            lines.append(f"| {grain} | {size} | {contender}, {by} | {' | '.join(cells)} |")
    counted = ", ".join(f"{count} with {size} passages" for size, count in seeds.items())
    return (
        f"Means over seeds ({counted}). The row `worst, select` (the default before) is\n"
        "the excess in nats; the others are differences from it in thousandths of a nat, with the standard error over\n"
        "the seeds; below zero is better.\n\n" + "\n".join(lines) + "\n"
    )


def cells(given: argparse.Namespace) -> Iterator[Cell]:
    """The cells asked for, smallest samples first."""
    sizes = itertools.product(given.passages or (2, 4, 8, 16), range(given.seeds))
    for (passages, seed), grain in itertools.product(sizes, given.grain or ("subblock", "channel")):
        yield Cell(grain, passages, seed, given.work)


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--grain", action="append", choices=("subblock", "channel"))
    parser.add_argument(
        "--passages", action="append", type=int, help="search passages of a group; 2, 4, 8, 16 otherwise"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("runs/objectives"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--jobs", type=int, default=2, help="cells side by side, one thread each")
    parser.add_argument("--table", action="store_true", help="write the table of what is done, run nothing")
    given = parser.parse_args()
    written = given.results / "objectives.csv"
    frame = pd.read_csv(written) if written.is_file() else pd.DataFrame()
    done = set() if frame.empty else set(zip(frame["grain"], frame["passages"], frame["seed"], strict=True))
    missing = [cell for cell in cells(given) if cell.key not in done and not given.table]
    with processes(given.jobs) as pool:
        for finished in as_completed([pool.submit(cell.run) for cell in missing]):
            # Each cell is in the CSV as soon as it is done: that is what is read where the command is run again.
            frame = pd.concat([frame, pd.DataFrame(finished.result())]).sort_values(
                ["grain", "passages", "seed"], kind="stable", ascending=[False, True, True]
            )
            frame.to_csv(written, index=False, float_format="%.5f")
            print(f"{len(frame) // (2 * len(CONTENDERS))} cells are done", flush=True)
    (given.results / "objectives.md").write_text(table(frame))
    print(table(frame))


if __name__ == "__main__":
    main()
