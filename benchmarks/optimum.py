"""Does a strategy find the optimum, and how soon? Truth where every pattern can be measured, rivals where it cannot.

    python benchmarks/optimum.py                      # everything; resumable
    python benchmarks/optimum.py --space layer-3      # one space
    python benchmarks/optimum.py --strategy surrogate # one strategy

The embedded model and corpora. Patterns are measured once, passage by passage, on a pool; a search sample is six
passages of every group drawn from it, with its own optimum, and the objective is its worst group's excess. Where a
space is small every pattern is measured: the tables say how often a search reached the optimum within a quarter of the
space, how far it was from it there, and after how many distinct patterns and tokens it arrived (or never, within half
of the space). Where a space is large, they say what each search had found at equal tokens. Tokens are counted in
patterns measured in full.

The last table is the winner's luck: what the answer claims on its sample, and what it costs on passages no search saw,
taken as the search's best, and chosen among its 8 finalists on ``select``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optimum_pool import Measured, draw, fitness_on
from optimum_table import write_tables
from rivals import embedded_domains

from calibration import CalibrationSet, build_calibration_set
from evop.evaluator import Evaluator
from evop.fitness.fitness import Fitness
from evop.importance.measured import default_importance, measured_ranking
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.search import SearchRecipe
from evop.recipes.words import calibration_recipe
from evop.reference import model_dir
from evop.removal.ranking import Ranking
from evop.searching.plan import SearchPlan, searched_space
from evop.tokens.passages import TokenPassages, tokenize
from patterns import Budget, Measurement, Pattern, Request, Stop, TrialLog, finalists, make_strategy, search

MAX_TOKENS, BATCH = 48, 16
A_GROUP = 6
"""Passages of a group in a search sample, of 12 or more in the pool."""
STRATEGIES = ("surrogate", "swap", "greedy", "genetic", "policy", "random")
MARKS = (25, 50, 100)
"""Where large spaces are looked at, in patterns' worth of tokens; a search ends at the last."""
TO_THE_END = "subblock-any"
"""There ``genetic`` runs until it ends by itself: how soon have the others what it ends with?"""


@dataclass(frozen=True)
class Space:
    """A space that is searched; ``small`` where every pattern of it is measured."""

    name: str
    grain: str
    remove: float
    deploy: str
    small: bool


SPACES = (
    Space("layer-3", "layer", 3 / 12, "any", True),
    Space("layer-4", "layer", 4 / 12, "any", True),
    Space("subblock-stock", "subblock", 0.25, "stock", True),
    Space("subblock-any", "subblock", 0.25, "any", False),
    Space("channel-any", "channel", 0.25, "any", False),
    Space("mixed-any", "mixed", 0.25, "any", False),
)


@dataclass(frozen=True)
class Bench:
    """The model, its pool, and where measurements lie."""

    loaded: LoadedModel
    calibration: CalibrationSet
    work: Path

    @classmethod
    def open(cls, work: Path) -> Bench:
        """Build the set where there is none, and load the model."""
        folder = work / "set"
        if not folder.is_dir():
            recipe = calibration_recipe(
                embedded_domains(),
                group_by=["document"],
                clusters=2,
                embedder="lexical",
                passages=24,
                passage_chars=400,
                limit=1500,
                hold_out=0,
                min_group_tokens=250,
                select_passages=4,
                audit_passages=12,
                seed=0,
            )
            build_calibration_set(recipe).save(folder)
        loaded = load_model(Checkpoint.find(str(model_dir())), "cpu", "float32", False)
        return cls(loaded, CalibrationSet.load(folder), work)

    def passages(self, split: str) -> TokenPassages:
        """The passages of a split; ``search`` is the pool."""
        return tokenize(self.calibration.split(split), self.loaded.tokenizer, MAX_TOKENS)

    def measured(self, space: Space) -> tuple[Budget, dict[str, Measured]]:
        """The budget of a space, and the losses of its patterns on every split."""
        recipe = SearchRecipe.of(remove=space.remove, grain=space.grain, deploy=space.deploy)
        budget = SearchPlan.of(self.loaded.checkpoint, recipe, searched_space(self.loaded.checkpoint, recipe)).budget
        evaluator = Evaluator.of(self.loaded, budget.space, MAX_TOKENS, BATCH)
        metric = default_importance(space.grain)
        if metric != "none":
            file = self.work / f"orders-{space.grain}.npz"
            if not file.is_file():
                pool = self.passages("search")
                measured_ranking(evaluator, pool, metric=metric, over="mean", compensate=False, seed=0).save(file)
            evaluator = evaluator.with_ranking(Ranking.load(file))
            budget = Budget(evaluator.space, space.remove)
        kept = {
            split: Measured(self.passages(split), self.work / f"{space.name}{ending}.npz", evaluator)
            for split, ending in (("search", ""), ("select", "-select"), ("audit", "-audit"))
        }
        return budget, kept


def run(
    space: Space, budget: Budget, kept: dict[str, Measured], strategy: str, sample: int, size: int
) -> dict[str, Any]:
    """One search; what it had found when, and what its answer is worth."""
    fitness = fitness_on(kept["search"], draw(kept["search"].passages, A_GROUP, sample))
    whole = fitness.sample.full
    to_its_end = strategy == "genetic" and space.name == TO_THE_END
    tokens_at_most = None if to_its_end else MARKS[-1] * whole.tokens
    stop = Stop(evaluations=size // 2) if space.small else Stop(tokens=tokens_at_most)
    made = make_strategy(strategy, budget, sample)
    with tempfile.TemporaryDirectory() as folder:
        log = TrialLog.create(Path(folder) / "trials.jsonl", {})

        def measure(request: Request) -> Iterator[Measurement]:
            before = [trial for trial in log.trials if trial.round < request.round]
            return fitness(request.patterns, request.fidelity, request.bounds, fitness.worst_first(before))

        search(made, budget, log, measure, stop, fidelities=fitness.sample.fidelities)
    patterns, tokens, best, curve = set(), 0, np.inf, []
    for trial in log.trials:
        patterns.add(trial.pattern)
        tokens += trial.measurement.tokens
        if trial.met and trial.fidelity == whole.passages and trial.measurement.whole and trial.value < best:
            best = trial.value
            curve.append((len(patterns), tokens / whole.tokens, best))
    chosen = [trial.pattern for trial in finalists(log.trials, whole.passages)]
    if not chosen:
        completed = made.completion({trial.pattern: trial.value for trial in log.trials})
        assert completed is not None
        chosen = [completed]
        curve.append((len(patterns), tokens / whole.tokens, value(fitness, completed)))
    select, audit = (fitness_on(kept[split], kept[split].passages) for split in ("select", "audit"))
    on_select = [found.value for found in select(chosen)]
    selected = chosen[int(np.argmin(on_select))]
    return {
        "space": space.name,
        "strategy": strategy,
        "sample": sample,
        "curve": curve,
        "patterns": len(patterns),
        "tokens": tokens / whole.tokens,
        "claimed": value(fitness, chosen[0]),
        "audit": value(audit, chosen[0]),
        "claimed_selected": value(fitness, selected),
        "select_selected": min(on_select),
        "audit_selected": value(audit, selected),
        "random": value(audit, budget.draw(np.random.default_rng(sample))),
    }


def value(fitness: Fitness, pattern: Pattern) -> float:
    """The worst group's excess, nats per token."""
    (found,) = fitness([pattern])
    return found.value


def searches(bench: Bench, space: Space, strategies: list[str], samples: int) -> Iterator[dict[str, Any]]:
    """The searches of a space, those that are done already read back."""
    done = bench.work / "searches" / space.name
    done.mkdir(parents=True, exist_ok=True)
    budget, kept = bench.measured(space)
    every = list(budget.patterns()) if space.small else []
    kept["search"].whole([budget.space.dense, *every])
    for strategy in strategies:
        for sample in range(samples):
            file = done / f"{strategy}-{sample}.json"
            if not file.is_file():
                found = run(space, budget, kept, strategy, sample, len(every))
                if every:
                    fitness = fitness_on(kept["search"], draw(kept["search"].passages, A_GROUP, sample))
                    found |= {"size": len(every), "optimum": min(judged.value for judged in fitness(every))}
                file.write_text(json.dumps(found))
                print(f"{space.name} {strategy} {sample}: {found['claimed']:.4f}", flush=True)
            yield json.loads(file.read_text())
    for measured in kept.values():
        measured.save()


def main() -> None:
    """Run what is missing, then write the tables."""
    names = [space.name for space in SPACES]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--space", action="append", choices=names, help="all otherwise; may be repeated")
    parser.add_argument("--strategy", action="append", choices=STRATEGIES, help="all otherwise; may be repeated")
    parser.add_argument("--samples", type=int, default=10, help="search samples drawn")
    parser.add_argument("--work", type=Path, default=Path("runs/optimum"), help="the set and everything measured")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where tables are written")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    bench = Bench.open(given.work)
    for space in SPACES:
        if space.name in (given.space or names):
            rows = list(searches(bench, space, given.strategy or list(STRATEGIES), given.samples))
            print(write_tables(space.name, rows, MARKS, given.results), flush=True)


if __name__ == "__main__":
    main()
