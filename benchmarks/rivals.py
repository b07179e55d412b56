"""Every strategy on the same data and budget: who keeps the worst group best at equal tokens?

    python benchmarks/rivals.py                                   # the embedded model and corpora
    python benchmarks/rivals.py --model MODEL --domain NAME=FILE --name mine

Sections, in the order in which they run:

* ``main``: all strategies, sub-blocks under ``any``, a quarter of the decoder removed, three seeds.
* ``grains``: layers, heads, channels and both mixed, and sub-blocks at 0.375, by four strategies; one seed.
* ``importance``: which channels leave, by ``oneshot`` alone; three seeds.

A seed draws the search sample again and seeds the strategy; ``select``, ``audit`` and ``unseen`` stay as they are.
Every search may score as many tokens as its section's ``TOKENS``, all it needs included; each is charged as if it were
alone, though searches of one sample and space share what they measured. Resumable by cell: what is done is not done
again. Writes ``<name>.csv`` (one row a search and split; sections that were not measured stay) and
``<name>-<section>.md`` (medians, and ranges where there are seeds).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from processes import processes
from rivals_table import rows_of, save

from calibration import CalibrationSet, build_calibration_set
from evop.auditing.audit_file import AuditFile
from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.recipes.search import SearchRecipe
from evop.recipes.words import calibration_recipe
from evop.reference import corpus_files, model_dir
from evop.removal.space import THINNED
from evop.searching.plan import SearchPlan, searched_space
from evop.stages.audit import audit
from evop.stages.search import search
from patterns import PatternError

TOKENS = {"main": 800_000, "grains": 500_000, "importance": 500_000}
"""Tokens a cell of a section may score."""
MAX_TOKENS = 96
"""Passages are cut there: many short ones tell more of a group than few long ones."""
SEEDS = (0, 1, 2)
HOW: dict[str, Any] = {"dtype": "float32", "device": "cpu", "batch_size": 4}
"""How the model is run; small models are fastest where a batch fits the processor's cache."""
ASKED: dict[str, Any] = {"deploy": "any", "max_tokens": MAX_TOKENS, "min_group_tokens": 128, **HOW}
"""What all searches on these sets are asked alike."""
STRATEGIES: dict[str, dict[str, Any]] = {
    "random": {"strategy": "random"},
    "oneshot, influence": {"strategy": "oneshot", "importance": "influence"},
    "oneshot, sensitivity": {"strategy": "oneshot"},
    "greedy": {"strategy": "greedy"},
    "policy": {"strategy": "policy"},
    "genetic (EvoP)": {"strategy": "genetic"},
    "swap (EvoPress)": {"strategy": "swap"},
    "surrogate": {"strategy": "surrogate"},
    "surrogate, mean": {"strategy": "surrogate", "objective": "mean"},
}
"""The main contrast; all are asked for the default objective, the last for the mean."""
FOUR = {"surrogate": "surrogate", "swap (EvoPress)": "swap", "greedy": "greedy", "oneshot": "oneshot"}
GRAINS = {"layer": 0.25, "head": 0.125, "channel": 0.25, "mixed": 0.25, "subblock": 0.375}
"""Grain -> what is removed; attention is a quarter of a layer of the embedded model, so heads can give less."""
METRICS = ("random", "magnitude", "wanda", "flap", "taylor")


@dataclass(frozen=True)
class Cell:
    """One search."""

    section: str
    grain: str
    remove: float
    contender: str
    seed: int
    options: tuple[tuple[str, Any], ...]

    @property
    def together(self) -> str:
        """Cells that are audited side by side."""
        return f"{self.section}-{self.grain}-{self.remove}-seed{self.seed}"

    def folder(self, work: Path) -> Path:
        """Where its run lies."""
        return (
            work / self.together / self.contender.replace(", ", "-").replace(" ", "-").replace("(", "").replace(")", "")
        )


def cells() -> Iterator[Cell]:
    """All cells, the main contrast first."""
    for seed in SEEDS:
        for name, options in STRATEGIES.items():
            yield Cell("main", "subblock", 0.25, name, seed, tuple(options.items()))
    for grain, remove in GRAINS.items():
        for name, strategy in FOUR.items():
            options = {"strategy": strategy} | ({"importance": "wanda"} if grain in THINNED else {})
            yield Cell("grains", grain, remove, name, SEEDS[0], tuple(options.items()))
    for seed, metric, compensate in product(SEEDS, METRICS, ("none", "bias")):
        options = (("strategy", "oneshot"), ("importance", metric), ("compensate", compensate))
        name = metric if compensate == "none" else f"{metric}, bias"
        yield Cell("importance", "channel", 0.25, name, seed, options)


@dataclass(frozen=True)
class Bench:
    """What is compared on what, and where it lies."""

    model: str
    domains: tuple[str, ...]
    work: Path

    def calibration(self, seed: int, sampler: str = "ccds") -> CalibrationSet:
        """The calibration set whose search passages a sampler and ``seed`` drew."""
        folder = self.work / (f"set-{seed}" if sampler == "ccds" else f"set-{sampler}-{seed}")
        if not folder.is_dir():
            recipe = calibration_recipe(
                self.domains,
                group_by=["document"] if self.domains == embedded_domains() else [],
                clusters=4,
                embedder="lexical",
                passages=7 if len(self.domains) > 1 else 64,
                passage_chars=800,
                limit=1500,
                min_group_tokens=250,
                select_passages=2,
                audit_passages=12,
                sampler=sampler,
                seed=seed,
            )
            build_calibration_set(recipe).save(folder)
        return CalibrationSet.load(folder)

    def recipe(self, cell: Cell) -> dict[str, Any]:
        """What a cell asks of a search."""
        return {
            "remove": cell.remove,
            "grain": cell.grain,
            "tokens": TOKENS[cell.section],
            "seed": cell.seed,
            "store": str(self.work / "store"),
            **ASKED,
            **dict(cell.options),
        }

    def refusal(self, cell: Cell) -> str | None:
        """Why a cell cannot be searched, or None where it can."""
        try:
            checkpoint, recipe = Checkpoint.find(self.model), SearchRecipe.of(**self.recipe(cell))
            SearchPlan.of(checkpoint, recipe, searched_space(checkpoint, recipe))
        except (EvopError, PatternError) as error:
            return str(error)
        return None

    def run(self, cell: Cell) -> str:
        """Search a cell; returns what it did in one line."""
        out, begun = cell.folder(self.work), time.monotonic()
        found = search(self.model, self.work / f"set-{cell.seed}", out, **self.recipe(cell)).account
        return (
            f"{cell.together} {cell.contender}: {found.evaluations} evaluations, {found.tokens['total']:,} tokens, "
            f"{time.monotonic() - begun:.0f} s, stopped by: {found.stopped}"
        )

    def audit(self, together: str, runs: list[Path], seed: int) -> str:
        """Audit runs side by side, unless that is done; returns what it did in one line."""
        out, begun = self.work / f"audit-{together}", time.monotonic()
        if not (out / "audit.json").is_file():
            audit(self.model, self.work / f"set-{seed}", runs, out, speed=False, needs=False, **HOW)
        return f"audited {together}, {time.monotonic() - begun:.0f} s"


def embedded_domains() -> tuple[str, ...]:
    """The embedded corpora as domains."""
    return tuple(f"{name}={path}" for name, path in corpus_files().items())


def main() -> None:
    """Run what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=str(model_dir()))
    parser.add_argument("--domain", action="append", help="NAME=FILE; may be repeated; the embedded corpora otherwise")
    parser.add_argument("--name", default="rivals", help="of the tables")
    parser.add_argument("--work", type=Path, help="sets, runs and audits; runs/<name> otherwise")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where tables are written")
    parser.add_argument("--section", action="append", choices=tuple(TOKENS), help="all otherwise")
    parser.add_argument("--seed", action="append", type=int, choices=SEEDS, help="all otherwise; may be repeated")
    parser.add_argument("--contender", action="append", help="all otherwise; may be repeated; in a --work of their own")
    parser.add_argument("--jobs", type=int, default=2, help="searches side by side, one thread each")
    given = parser.parse_args()
    bench = Bench(given.model, tuple(given.domain or embedded_domains()), given.work or Path("runs") / given.name)
    wanted = [
        cell
        for cell in cells()
        if cell.section in (given.section or TOKENS)
        and cell.seed in (given.seed or SEEDS)
        and (not given.contender or cell.contender in given.contender)
    ]
    refused = {cell: why for cell in wanted if (why := bench.refusal(cell))}
    wanted = [cell for cell in wanted if cell not in refused]
    for why in dict.fromkeys(refused.values()):
        print(f"left out: {why}", flush=True)
    for seed in sorted({cell.seed for cell in wanted}):
        bench.calibration(seed)
    for section, tokens in TOKENS.items():
        count = sum(cell.section == section for cell in wanted)
        print(f"{section}: {count} searches, {tokens:,} tokens each at most", flush=True)
    rows = list(run_all(bench, wanted, given.jobs))
    frame = pd.DataFrame(rows)
    given.results.mkdir(parents=True, exist_ok=True)
    place = given.results / f"{given.name}.csv"
    save(frame, place)
    for section in frame["section"].unique():
        print(f"\n{section}\n\n{place.with_name(f'{place.stem}-{section}.md').read_text()}")


def run_all(bench: Bench, wanted: list[Cell], jobs: int) -> Iterator[dict[str, object]]:
    """Searches, then audits, each as soon as a process is free; the rows of the tables."""
    groups: dict[str, list[Cell]] = {}
    for cell in wanted:
        groups.setdefault(cell.together, []).append(cell)
    with processes(jobs) as pool:
        missing = [cell for cell in wanted if not (cell.folder(bench.work) / "pattern.json").is_file()]
        for done in as_completed([pool.submit(bench.run, cell) for cell in missing]):
            print(done.result(), flush=True)
        audits = [
            pool.submit(bench.audit, name, [cell.folder(bench.work) for cell in mine], mine[0].seed)
            for name, mine in groups.items()
        ]
        for done in as_completed(audits):
            print(done.result(), flush=True)
    for name, mine in groups.items():
        runs = {cell.contender: cell.folder(bench.work) for cell in mine}
        where = {key: getattr(mine[0], key) for key in ("section", "grain", "remove", "seed")}
        yield from ({**where, **row} for row in rows_of(AuditFile.find(bench.work / f"audit-{name}"), runs))


if __name__ == "__main__":
    main()
