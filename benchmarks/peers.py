"""evop beside the rivals' own code: the same passages, at equal parameters and at equal FLOPs, judged by neither.

    python benchmarks/peers.py --shared DIR                  # all of it; prints first how long it takes
    python benchmarks/peers.py --shared DIR --seed 0 --contender "any" --budget "equal tokens"
    python benchmarks/peers.py --shared DIR --only-judge     # the stored answers are rescored, nothing is searched

``DIR/data/corpora`` holds the corpora. EvoPress, SLEB, EvoP and BlockPruner were run on the passages of these sets (the
same token ids) with nothing but devices and data changed; ``peers.json`` holds what they found, at which commit. A
quarter of the decoder's parameters leaves, or a quarter of its FLOPs, which is what the rivals' answers remove.

Contenders are evop's default search in several spaces, and evop's own ``swap``, ``greedy`` and ``genetic``. Budgets are
the tokens that EvoPress scored, and the default of evop; what ends by itself has one. A seed draws the sample and
seeds the search. One cell is one folder; a cell that was not finished is begun anew, so that its seconds are whole.

Judged by plain transformers on held-out windows of eight domains and of two that no set knows; excess over the dense
model, in nats per token. Gaps come with a paired bootstrap over the windows. Writes ``peers.md``, ``peers-gaps.md`` and
``peers.csv``, ``peers-gaps.csv``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from peers_data import DATA, WINDOW, windows, write_pool
from peers_fresh import evolve
from peers_judge import Judge
from peers_table import Answer, frame_of, gap_table, gaps_of, stored_answers, table
from processes import processes

from calibration import CalibrationSet, build_calibration_set
from evop.model.checkpoint import Checkpoint
from evop.recipes.words import calibration_recipe
from evop.reference import model_dir
from evop.removal.pattern_file import PatternFile
from evop.searching.search_file import SearchFile
from evop.stages.search import search

REMOVE = 0.25
AGREE = 1e-5
"""Nats per token by which a stored loss may differ from what is measured here; it is rounded to five places."""
TOKENS = 383_000
"""Tokens that EvoPress' own code scored."""
SEEDS = (0, 1, 2)
HOW: dict[str, Any] = {"dtype": "float32", "device": "cpu", "batch_size": 4, "max_tokens": WINDOW}
EQUAL, DEFAULT, ITSELF = "equal tokens", "default", "ends by itself"
BUDGETS: dict[str, dict[str, Any]] = {EQUAL: {"tokens": TOKENS}, DEFAULT: {}, ITSELF: {}}
FRESH = "swap, kl, EvoPress' settings, fresh tokens"
SEARCHED: dict[str, dict[str, Any]] = {
    "any": {"deploy": "any"},
    "balanced": {"deploy": "balanced"},
    "stock": {"deploy": "stock"},
    "layer": {"grain": "layer"},
    "any, equal FLOPs": {"deploy": "any", "cost": "flops"},
    "swap, kl": {"strategy": "swap", "loss": "kl", "objective": "mean", "deploy": "balanced"},
}
"""Searches that go on until their budget is spent."""
ENDING: dict[str, dict[str, Any]] = {
    "greedy, layers": {"strategy": "greedy", "objective": "mean", "grain": "layer", "protect": "layers.0,layers.11"},
    "greedy, sub-blocks": {"strategy": "greedy", "objective": "mean", "deploy": "any"},
    "genetic, layers": {"strategy": "genetic", "objective": "mean", "grain": "layer"},
}
"""Searches as SLEB, BlockPruner and EvoP run them, to their end; SLEB keeps the first layer and the last."""
SAMPLE, RATE = 10_300, 4_000
"""Tokens of a search sample, and those that a search scores in a second of one busy core; for the estimate alone."""
PASSES = {EQUAL: 37, DEFAULT: 250, ITSELF: 90}
"""Patterns measured on the whole sample that a cell takes as much time as, as seen."""


@dataclass(frozen=True)
class Cell:
    """One search."""

    contender: str
    budget: str
    seed: int

    def folder(self, work: Path) -> Path:
        """Where it lies."""
        words = f"{self.contender} {self.budget} seed {self.seed}"
        return work / "cells" / "".join(c if c.isalnum() else "-" for c in words).replace("--", "-")

    @property
    def options(self) -> dict[str, Any]:
        """What it asks of a search."""
        asked = {**SEARCHED, **ENDING}[self.contender]
        return {"remove": REMOVE, "seed": self.seed, **HOW, **BUDGETS[self.budget], **asked}


@dataclass(frozen=True)
class Bench:
    """What is compared, and where it lies."""

    model: str
    shared: Path
    work: Path

    def calibration(self, seed: int) -> CalibrationSet:
        """The calibration set of a seed; made where it is not there."""
        folder = self.work / f"set-{seed}"
        if not folder.is_dir():
            domains = write_pool(self.shared, self.work / "pool")
            build_calibration_set(calibration_recipe(domains, group_by=["document"], seed=seed, **DATA)).save(folder)
        return CalibrationSet.load(folder)

    def judge(self) -> Judge:
        """The judge; it remembers what it measured."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained(self.model, dtype=torch.float32).eval()
        held_out = windows(self.shared, AutoTokenizer.from_pretrained(self.model))
        return Judge(model, held_out, self.work / "judged.json")

    def run(self, cell: Cell) -> str:
        """Search a cell, and write what it found and took; returns that in one line."""
        out, calibration = cell.folder(self.work), self.calibration(cell.seed)
        shutil.rmtree(out, ignore_errors=True)
        begun = time.process_time()
        if cell.contender == FRESH:
            found = evolve(self.model, calibration, REMOVE, cell.seed, WINDOW)
            removed, patterns, tokens = found.removed, found.patterns, found.tokens
        else:
            search(self.model, calibration, out, **cell.options)
            removed = PatternFile.find(out).removed
            account = SearchFile.read(out / "search.json")
            patterns, tokens = account.evaluations, account.tokens["total"]
        seconds = time.process_time() - begun
        answer = Answer(cell.contender, cell.budget, cell.seed, tuple(removed), patterns, tokens, seconds)
        out.mkdir(parents=True, exist_ok=True)
        (out / "answer.json").write_text(json.dumps(asdict(answer)))
        did = f"{patterns} patterns, {tokens:,} tokens, {seconds:.0f} s"
        return f"{cell.contender}, {cell.budget}, seed {cell.seed}: {did}"

    def answer(self, cell: Cell) -> Answer | None:
        """What a cell found, or None where it was not run."""
        file = cell.folder(self.work) / "answer.json"
        if not file.is_file():
            return None
        content = json.loads(file.read_text())
        return Answer(**{**content, "removed": tuple(content["removed"])})


def cells(seeds: tuple[int, ...]) -> Iterator[Cell]:
    """All cells, the short ones first."""
    for budget in (EQUAL, ITSELF, DEFAULT):
        for contender in ENDING if budget == ITSELF else SEARCHED:
            yield from (Cell(contender, budget, seed) for seed in seeds)
        if budget == EQUAL:
            yield from (Cell(FRESH, budget, seed) for seed in seeds)


def main() -> None:
    """Run what is missing, then judge and write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="holds data/corpora")
    parser.add_argument("--answers", type=Path, default=Path(__file__).with_name("peers.json"), help="the rivals'")
    parser.add_argument("--model", default=str(model_dir()))
    parser.add_argument("--work", type=Path, default=Path("runs/peers"), help="sets and runs")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where tables are written")
    parser.add_argument("--seed", action="append", type=int, help=f"{SEEDS} otherwise; may be repeated")
    parser.add_argument("--contender", action="append", help="all otherwise; may be repeated")
    parser.add_argument("--budget", action="append", choices=tuple(BUDGETS), help="all otherwise; may be repeated")
    parser.add_argument("--jobs", type=int, default=2, help="searches side by side, one thread each")
    parser.add_argument("--only-judge", action="store_true", help="search nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(given.model, given.shared, given.work)
    bench.work.mkdir(parents=True, exist_ok=True)
    wanted = [
        cell
        for cell in cells(tuple(given.seed or SEEDS))
        if (not given.contender or cell.contender in given.contender)
        and (not given.budget or cell.budget in given.budget)
    ]
    stored = json.loads(given.answers.read_text())
    judge = bench.judge()
    apart = disagreement(judge, stored)
    if apart > AGREE:
        raise SystemExit(
            f"{given.answers}: the rivals' answers lose up to {apart:.1e} nats per token more or less here than is "
            f"stored, expected {AGREE:.0e}; these are other windows or another model: use those of the stored answers"
        )
    print(f"stored answers agree within {apart:.1e} nats per token", flush=True)
    if not given.only_judge:
        run_all(bench, [cell for cell in wanted if bench.answer(cell) is None], given.jobs)
    write(bench, judge, stored_answers(stored), [a for cell in wanted if (a := bench.answer(cell))], given.results)


def run_all(bench: Bench, missing: list[Cell], jobs: int) -> None:
    """Search the cells that are missing, each as soon as a process is free."""
    seconds = sum(PASSES[cell.budget] for cell in missing) * SAMPLE / RATE
    print(f"{len(missing)} searches, about {seconds / 60:.0f} minutes of one core", flush=True)
    for seed in sorted({cell.seed for cell in missing}):
        bench.calibration(seed)
    with processes(jobs) as pool:
        for done in as_completed([pool.submit(bench.run, cell) for cell in missing]):
            print(done.result(), flush=True)


def disagreement(judge: Judge, stored: dict[str, Any]) -> float:
    """The largest difference of a stored excess, rounded to five places, from one measured here."""
    found = [(answer["excess"], judge.excess(answer["removed"])) for answer in stored["answers"]]
    return max(abs(kept[domain] - measured[domain]) for kept, measured in found for domain in kept)


def write(bench: Bench, judge: Judge, theirs: list[Answer], ours: list[Answer], results: Path) -> None:
    """Judge all answers and write the tables."""
    frame = frame_of(Checkpoint.find(bench.model), judge, [*theirs, *ours], bench.work / "speeds.json")
    written = {"peers": (frame, table(frame))}
    if ours:
        gaps = gaps_of(judge, ours, theirs)
        written["peers-gaps"] = (gaps, gap_table(gaps))
    results.mkdir(parents=True, exist_ok=True)
    for name, (content, text) in written.items():
        pd.DataFrame(content).to_csv(results / f"{name}.csv", index=False, float_format="%.5f")
        (results / f"{name}.md").write_text(text)
        print(f"\n{text}")


if __name__ == "__main__":
    main()
