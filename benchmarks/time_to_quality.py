"""How soon does each strategy have what EvoP's ends with? Sub-blocks under ``any``, worst group, five sets.

    python benchmarks/time_to_quality.py          # resumable

On every set ``genetic`` runs to its end, every pattern measured once; what it ends with is the target. The others are
asked how many distinct patterns, tokens and seconds they took to have a value at least as good: the default
``surrogate``, and ``swap`` on the plain evaluator too, where every pattern runs alone from the first layer and to
its end. What ``genetic`` would take without its memo is computed from the patterns it asked for, not run. Seconds are
the search's own, loading left out; the searches of a set run one after the other, with one thread.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from rivals import ASKED, Bench, embedded_domains

from evop.reference import model_dir
from evop.stages.search import search
from patterns.strategies.genetic import POPULATION

PLAIN = {"share": False, "cache_mb": 0, "bounds": False}
CONTENDERS: dict[str, dict[str, Any]] = {
    "genetic (EvoP)": {"strategy": "genetic"},
    "surrogate (default)": {"strategy": "surrogate", "evaluations": 200},
    "swap (EvoPress)": {"strategy": "swap", "evaluations": 400},
    "swap, plain evaluator": {"strategy": "swap", "evaluations": 400, **PLAIN},
    "genetic, plain evaluator": {"strategy": "genetic", **PLAIN},
}
SETS = range(5)


@dataclass(frozen=True)
class Road:
    """How a search went: after how many patterns, tokens and seconds it had which value."""

    points: tuple[tuple[int, int, float, float], ...]
    rounds: int

    @classmethod
    def read(cls, run: Path) -> Road:
        """From the log and the timings of a run that was not interrupted."""
        header, *trials = map(json.loads, (run / "trials.jsonl").read_text().splitlines())
        full = max(map(int, header["dense"]))
        rows = map(json.loads, (run / "timings.jsonl").read_text().splitlines())
        ends = {row["round"]: row["at"] for row in rows}
        points, seen, tokens, best = [], set(), 0, math.inf
        for trial in trials:
            seen.add(tuple(trial["levels"]))
            tokens += trial["tokens"]
            whole = trial["fidelity"] == full and trial["met"] and not trial.get("at_least")
            if whole and trial["value"] is not None:
                best = min(best, trial["value"])
            points.append((len(seen), tokens, ends[trial["round"]], best))
        return cls(tuple(points), 1 + trials[-1]["round"])

    @property
    def best(self) -> float:
        """What it ended with."""
        return self.points[-1][-1]

    def until(self, target: float) -> tuple[float, float, float]:
        """Patterns, tokens and seconds until it had a value at least as good; infinite where it never had."""
        return next((point[:3] for point in self.points if point[-1] <= target), (math.inf,) * 3)


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/time-to-quality"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where the table is written")
    given = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(str(model_dir()), embedded_domains(), given.work)
    roads: dict[str, list[Road]] = {name: [] for name in CONTENDERS}
    for number in SETS:
        calibration = bench.calibration(number)
        for name, options in CONTENDERS.items():
            out = given.work / f"{number}-{name.replace(', ', '-').replace(' ', '-')}"
            if not (out / "pattern.json").is_file():
                search(model_dir(), calibration, out, seed=number, **ASKED, **options)
                print(f"set {number}, {name}: done", flush=True)
            roads[name].append(Road.read(out))
    frame = pd.DataFrame(list(rows(roads)))
    given.results.mkdir(parents=True, exist_ok=True)
    frame.to_csv(given.results / "time-to-quality.csv", index=False, float_format="%.5f")
    text = table(frame)
    (given.results / "time-to-quality.md").write_text(text)
    print(text)


def rows(roads: dict[str, list[Road]]) -> Iterator[dict[str, object]]:
    """One row a strategy and set: what it took until it had what genetic ends with; infinite where it never had."""
    genetic = roads["genetic (EvoP)"]
    for (name, mine), number in product(roads.items(), SETS):
        patterns, tokens, seconds = mine[number].until(genetic[number].best)
        ran = mine[number].points[-1]
        yield {
            "strategy": name, "set": number, "patterns": patterns, "tokens": tokens, "seconds": seconds,
            "ran_patterns": ran[0], "ran_seconds": ran[2], "asked": POPULATION * genetic[number].rounds,
        }  # fmt: skip


def table(frame: pd.DataFrame) -> str:
    """Until the target, medians and ranges over the sets, as Markdown; each held against others until the same."""
    lines = [
        "| strategy | reached | patterns | times genetic's | tokens, M | seconds | times swap's | times plain |",
        "|---|---|---|---|---|---|---|---|",
    ]
    by_name = {name: mine.set_index("set") for name, mine in frame.groupby("strategy", sort=False)}
    genetic, swap = by_name["genetic (EvoP)"], by_name["swap (EvoPress)"]
    # Where swap never got there it would have taken longer than it ran: the ratio is then at most the one shown.
    swapped = swap["seconds"].where(np.isfinite(swap["seconds"]), swap["ran_seconds"])
    for name, mine in by_name.items():
        plain = by_name.get(f"{name.partition(' ')[0]}, plain evaluator")
        cells = [
            spread(mine["patterns"], 0),
            spread(mine["patterns"] / genetic["patterns"], 2),
            spread(mine["tokens"] / 1e6, 2),
            spread(mine["seconds"], 0),
            spread(mine["seconds"] / swapped, 2),
            "–" if plain is None or plain is mine else spread(mine["seconds"] / plain["seconds"], 2),
        ]
        lines.append(f"| {name} | {np.isfinite(mine['seconds']).sum()} of {len(mine)} | {' | '.join(cells)} |")
    without = spread(genetic["asked"] / genetic["ran_patterns"], 1)
    lines += ["", f"Without its memo `genetic` would measure {without} times as many patterns to its end."]
    return "\n".join(lines) + "\n"


def spread(values: pd.Series, digits: int) -> str:
    """Median and range; infinite is a dash."""
    middle, low, high = (
        f"{value:.{digits}f}" if math.isfinite(value) else "–" for value in (median(values), min(values), max(values))
    )
    return f"{middle} [{low}, {high}]"


if __name__ == "__main__":
    main()
