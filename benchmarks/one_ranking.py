"""One ranking over the whole model, and no search: which metric's scores compare attention with MLP?

    python benchmarks/one_ranking.py

Asks ``oneshot`` for heads (an eighth of the decoder), channels and both mixed (a quarter each) by every metric, on the
embedded model and the calibration sets of ``rivals.py``: three seeds, of which each draws the search sample again, and
which the random metric is seeded by. Measured on 12 audit passages of each domain, which stay the same. Goes on where
its CSV ends. Writes ``<name>.csv`` (one row a pattern) and ``<name>.md`` (medians and ranges).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from rivals import ASKED, GRAINS, MAX_TOKENS, METRICS, SEEDS, Bench, embedded_domains
from rivals_table import spread

from calibration import CalibrationSet
from evop.evaluator import Evaluator
from evop.importance.measured import measured_ranking
from evop.losses.table import excess
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.search import SearchRecipe
from evop.reference import model_dir
from evop.removal.space import THINNED, pattern_space
from evop.searching.passages import objective_passages
from evop.tokens.passages import TokenPassages, tokenize
from patterns import Budget, PatternSpace, make_strategy

PER_DOMAIN = 12
"""Audit passages of each domain."""


def audit_passages(calibration: CalibrationSet, loaded: LoadedModel) -> TokenPassages:
    """The same number of audit passages of each domain, grouped by domain."""
    domain_of = {group.key: group.domain for group in calibration.groups}
    whole = tokenize(calibration.split("audit"), loaded.tokenizer, MAX_TOKENS)
    domains = np.array([domain_of[key] for key in whole.groups])
    first = np.concatenate([np.flatnonzero(domains == domain)[:PER_DOMAIN] for domain in dict.fromkeys(domains)])
    return replace(whole.take(first.tolist()), groups=tuple(domains[first].tolist()))


def measured(bench: Bench, loaded: LoadedModel, space: PatternSpace, seed: int) -> Iterator[dict[str, object]]:
    """One row a metric: what the pattern of its one ranking loses, and how many key/value groups that takes."""
    grain, remove = space.grain, GRAINS[space.grain]
    audited = audit_passages(bench.calibration(SEEDS[0]), loaded)
    recipe = SearchRecipe.of(remove=remove, grain=grain, **ASKED)
    search = objective_passages(bench.calibration(seed), loaded.tokenizer, recipe).search
    plain = Evaluator.of(loaded, space, MAX_TOKENS, 4)
    dense = plain.dense(audited).by_group
    attention = [part.kind == "attn" for part in space.parts]
    for metric in METRICS:
        ranking = measured_ranking(plain, search, metric=metric, over="mean", compensate=False, seed=seed)
        evaluator = plain.with_ranking(ranking)
        (pattern,) = make_strategy("oneshot", Budget(evaluator.space, remove), seed).ask()
        (losses,) = evaluator.losses([pattern], audited)
        lost = list(excess(losses.by_group, dense).values())
        yield {
            "grain": grain,
            "remove": remove,
            "metric": metric,
            "seed": seed,
            "worst": max(lost),
            "mean": float(np.mean(lost)),
            "groups_gone": int(np.array(pattern.levels)[attention].sum()),
            "groups_of": sum(part.top for part in space.parts if part.kind == "attn"),
        }


def table(frame: pd.DataFrame) -> str:
    """Medians over seeds with the range in brackets, as Markdown."""
    lines = ["| grain, removed | metric | worst domain | mean | key/value groups gone |", "|---|---|---|---|---|"]
    for (grain, remove, metric), rows in frame.groupby(["grain", "remove", "metric"], sort=False):
        gone, of = rows["groups_gone"], rows["groups_of"].iloc[0]
        heads = f"{gone.median():.0f} [{gone.min()}, {gone.max()}] of {of}" if of else "–"
        lines.append(f"| {grain}, {remove} | {metric} | {spread(rows['worst'])} | {spread(rows['mean'])} | {heads} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--name", default="one-ranking", help="of the tables")
    parser.add_argument("--work", type=Path, help="calibration sets; runs/<name> otherwise")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where tables are written")
    given = parser.parse_args()
    bench = Bench(str(model_dir()), embedded_domains(), given.work or Path("runs") / given.name)
    checkpoint = Checkpoint.find(bench.model)
    loaded = load_model(checkpoint, "cpu", "float32")
    given.results.mkdir(parents=True, exist_ok=True)
    file = given.results / f"{given.name}.csv"
    frame = pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=["grain", "seed"])
    for seed, grain in product(SEEDS, reversed(list(THINNED))):
        if ((frame["grain"] == grain) & (frame["seed"] == seed)).any():
            continue
        rows = pd.DataFrame(measured(bench, loaded, pattern_space(checkpoint, grain, "any"), seed))
        print(rows.to_string(header=False), flush=True)
        frame = pd.concat([frame, rows]) if len(frame) else rows
        frame = frame.sort_values(["grain", "metric", "seed"], key=lambda column: column.map(order_of))
        frame.to_csv(file, index=False, float_format="%.5f")
    (given.results / f"{given.name}.md").write_text(table(frame))
    print(table(frame))


def order_of(value: object) -> int:
    """Where a grain, metric or seed stands among its like."""
    return next((list(names).index(value) for names in (GRAINS, METRICS, SEEDS) if value in names), -1)


if __name__ == "__main__":
    main()
