"""Which way of searching brings most at equal tokens, where nothing was tuned?

    python benchmarks/arms.py --landscape sensitivities        # minutes
    python benchmarks/arms.py --landscape model                # hours; goes on where it stopped
    python benchmarks/arms.py --landscape model --model MODEL --domain NAME=FILE --name mine

Arms: the default ``surrogate``; ``cma``, CMA-ES that is told what was measured, and with its covariance frozen;
``lq-cma``, pycma's own surrogate; and the rivals' ways. The default's settings were chosen at a quarter of the
parameters on other seeds; here other budgets, another cost and other seeds are asked. Sub-blocks; a search may score
what 20, 36 or 60 patterns take, each arm alone. The objective is the mean over the worse half of the groups.

``model`` are searches on a model's own losses. ``sensitivities`` are drawn landscapes: what each sub-block of the model
costs alone, passage by passage, is measured; how they act together is lognormal chance. They are cheap, so that there
are many, but no model's. Writes ``<name>.csv`` (one row a search and budget) and ``<name>.md`` (medians and ranges).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from arms_landscape import Asked, Landscape, ModelLandscape, SensitivityLandscape, sensitivities
from rivals import embedded_domains

from evop.model.checkpoint import Checkpoint
from evop.recipes.search import SearchRecipe
from evop.reference import model_dir
from evop.searching.plan import SearchPlan, searched_space
from patterns import Stop, TrialLog, finalists, make_strategy, search
from patterns.strategies.cma import CMASettings

MARKS = (20, 36, 60)
"""What a search may score, in patterns' worth of tokens."""
ARMS: dict[str, dict[str, Any]] = {
    "surrogate": {"name": "surrogate"},
    "cma": {"name": "cma"},
    "cma, covariance frozen": {"name": "cma", "settings": CMASettings(adapt=False)},
    "lq-cma": {"name": "lq-cma"},
    "swap": {"name": "swap"},
    "greedy": {"name": "greedy"},
    "oneshot": {"name": "oneshot"},
    "genetic": {"name": "genetic"},
    "random": {"name": "random"},
}
SETTINGS = (
    Asked("0.15 of the parameters", 0.15, "params"),
    Asked("0.375 of the parameters", 0.375, "params"),
    Asked("0.25 of the FLOPs", 0.25, "flops"),
    Asked("0.375, stock", 0.375, "params", "stock"),
)
TUNED_ON = 77
"""Seed of the set on which sensitivities are measured; searches take other seeds, from 100 on."""
FIRST_SEED = 100


def answers(landscape: Landscape, arm: str, seed: int) -> Iterator[dict[str, Any]]:
    """Search once for every number of tokens, the longest first; yield what each is worth.

    A shorter search is the beginning of a longer one; it is run again only for its answer.
    """
    whole = landscape.fidelities[-1]
    for mark in MARKS:
        with tempfile.TemporaryDirectory() as folder:
            log = TrialLog.create(Path(folder) / "trials.jsonl", {})
            strategy = make_strategy(budget=landscape.budget, seed=seed, **ARMS[arm])
            # One pattern is kept for completing a search in which nothing was measured in full.
            stop = Stop(tokens=mark * whole.tokens)
            search(
                strategy, landscape.budget, log, landscape, stop, fidelities=landscape.fidelities,
                reserve=lambda count: 0 if count else whole.tokens,
            )  # fmt: skip
        best = finalists(log.trials, whole.passages)
        values = {trial.pattern: trial.value for trial in log.trials}
        answer = best[0].pattern if best else strategy.completion(values)
        assert answer is not None
        yield {"patterns_worth": mark, "patterns": len(values), **landscape.judged(answer)}


def landscapes(options: argparse.Namespace) -> Iterator[tuple[str, int, Landscape]]:
    """Yield setting, seed and landscape."""
    measured = None
    for asked in SETTINGS:
        for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
            if options.landscape == "model":
                work = options.work / "model"
                work.mkdir(exist_ok=True)
                yield asked.name, seed, ModelLandscape(options.model, options.domains, asked, seed, work)
                continue
            measured = measured or sensitivities(options.model, options.domains, options.work, TUNED_ON, 2)
            checkpoint = Checkpoint.find(options.model)
            recipe = SearchRecipe.of(remove=asked.remove, cost=asked.cost, deploy=asked.deploy)
            budget = SearchPlan.of(checkpoint, recipe, searched_space(checkpoint, recipe)).budget
            yield asked.name, seed, SensitivityLandscape(measured["cost"], measured["groups"], budget, seed)


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the rows of all searches; those done before are read back."""
    done = options.work / options.landscape / "searches"
    done.mkdir(parents=True, exist_ok=True)
    for setting, seed, landscape in landscapes(options):
        for arm in options.arm or ARMS:
            file = done / f"{setting} {seed} {arm}.json".replace(" ", "-").replace(",", "")
            if not file.is_file():
                found = [{"setting": setting, "seed": seed, "arm": arm, **row} for row in answers(landscape, arm, seed)]
                file.write_text(json.dumps(found))
                print(f"{setting}, seed {seed}, {arm}: {found[-1]['search']:.4f}", flush=True)
            yield from json.loads(file.read_text())


def table(found: pd.DataFrame) -> str:
    """Return the median and range over seeds, of the search at every number of tokens, and of the audit at the last."""
    lines = []
    for setting, of_setting in found.groupby("setting", sort=False):
        heads = [f"search, {mark} patterns' worth" for mark in MARKS]
        heads += [f"audit, {MARKS[-1]}", f"audit's worst group, {MARKS[-1]}"]
        lines += [f"{setting}, {of_setting['seed'].nunique()} seeds:", "", f"| arm | {' | '.join(heads)} |"]
        lines += ["|---" * (len(heads) + 1) + "|"]
        for arm, of_arm in of_setting.groupby("arm", sort=False):
            at = {mark: of_arm[of_arm["patterns_worth"] == mark] for mark in MARKS}
            cells = [_spread(at[mark]["search"]) for mark in MARKS]
            cells += [_spread(at[MARKS[-1]][column]) for column in ("audit", "worst")]
            lines.append(f"| {arm} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines).strip() + "\n"


def _spread(values: Sequence[float]) -> str:
    """Return median [smallest, largest]."""
    return f"{np.median(values):.3f} [{np.min(values):.3f}, {np.max(values):.3f}]"


def main() -> None:
    """Search what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--landscape", choices=("sensitivities", "model"), default="sensitivities")
    add("--model", default=str(model_dir()), help="the embedded one otherwise")
    add("--domain", action="append", dest="domains", help="NAME=FILE; the embedded ones otherwise; may be repeated")
    add("--arm", action="append", choices=ARMS, help="all otherwise; may be repeated")
    add("--seeds", type=int, default=5, help="samples drawn for every setting")
    add("--name", default="", help="name of the files written; arms-<landscape> otherwise")
    add("--work", type=Path, default=Path("runs/arms"), help="sets, measurements, searches")
    add("--results", type=Path, default=Path("benchmarks/results"), help="where tables are written")
    options = parser.parse_args()
    options.domains = tuple(options.domains or embedded_domains())
    options.work.mkdir(parents=True, exist_ok=True)
    found = pd.DataFrame(rows(options))
    name = options.name or f"arms-{options.landscape}"
    found.to_csv(options.results / f"{name}.csv", index=False, float_format="%.5f")
    (options.results / f"{name}.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
