"""What does each part of the default search bring? Its settings changed one by one, against the default.

    python benchmarks/ablations.py --space layer-3 --seeds 10 --optimum   # every named ablation
    python benchmarks/ablations.py --ablation no-sensitivities --ablation no-switches
    python benchmarks/ablations.py --set surrogate.min_low_fidelity=8 --set process.length_scale=4
    python benchmarks/ablations.py --list

The embedded model, the spaces and the pool of ``optimum.py``; what was measured there is not measured again. Seed n
draws the n-th search sample and seeds the strategy, the same for all settings. Every run searches with the default
settings too, so that a table compares what was searched side by side. Values are the worst group's excess in nats per
token, of the best pattern measured in full, or of the one that completes a search that ended before; smaller is better.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from optimum import A_GROUP, MARKS, SPACES, Bench
from optimum_pool import draw, fitness_on

from evop.fitness.fitness import Fitness
from patterns import Budget, Measurement, Request, Stop, TrialLog, make_strategy, search
from patterns.strategies.surrogate import SurrogateSettings

DEFAULT = "default"
ABLATIONS: dict[str, tuple[str, ...]] = {
    "values-as-they-are": ("process.log_values=false",),
    "no-switches": ("surrogate.switches_per_incumbent=0", "surrogate.hill_climb_rounds=0"),
    "one-in-full": ("surrogate.full_fidelity=1",),
    "two-in-full": ("surrogate.full_fidelity=2",),
    "eight-at-low-fidelity": ("surrogate.min_low_fidelity=8",),
    "no-sensitivities": ("surrogate.sensitivities=false",),
    "all-in-full": ("surrogate.low_fidelity=1.0",),
    "a-sixteenth-of-the-sample": (
        "surrogate.low_fidelity=0.0625",
        "surrogate.min_low_fidelity=12",
        "surrogate.max_low_fidelity=12",
    ),
    "twice-the-switches": ("surrogate.switches_per_incumbent=60", "surrogate.hill_climb_rounds=4"),
    "less-noise": ("process.low_fidelity_noise=0.001",),
    "more-noise": ("process.low_fidelity_noise=0.05",),
    "bolder": ("surrogate.confidence_betas=[1, 2, 3, 4]",),
}
"""Name -> what is set otherwise than by default."""


@dataclass(frozen=True)
class Outcome:
    """What one search brought.

    Attributes:
        value: the value of the answer.
        patterns: number of distinct patterns measured until then.
        tokens: tokens spent until then, in patterns measured in full.
    """

    value: float
    patterns: int
    tokens: float


def changed(settings: SurrogateSettings, change: str) -> SurrogateSettings:
    """Return settings with one value set.

    Args:
        settings: the settings to begin with.
        change: ``surrogate.<field>=<value>`` or ``process.<field>=<value>``, the value in JSON.

    Raises:
        ValueError: not of that form, an unknown field, or a value of another type.
    """
    name, _, text = change.partition("=")
    owner, _, field = name.partition(".")
    owners: dict[str, Any] = {"surrogate": settings, "process": settings.process}
    fields = {k: v for k, v in asdict(owners[owner]).items() if k != "process"} if owner in owners else {}
    if field not in fields:
        known = ", ".join(fields) or "surrogate.<field>=<value> and process.<field>=<value>"
        raise ValueError(f"--set {change}: unknown setting {name!r}; there are {known}")
    default, value = fields[field], _parsed(text)
    value = tuple(value) if isinstance(value, list) else value
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        raise ValueError(f"--set {change}: expected a value like {json.dumps(default)}, found {text!r}")
    made = replace(owners[owner], **{field: value})
    return made if owner == "surrogate" else replace(settings, process=made)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def outcome(budget: Budget, fitness: Fitness, settings: SurrogateSettings, seed: int, stop: Stop) -> Outcome:
    """Search once, and return what that brought."""
    full, best, patterns, tokens = fitness.sample.full, None, set(), 0

    def measure(request: Request) -> Iterator[Measurement]:
        return fitness(request.patterns, request.fidelity, request.bounds)

    with tempfile.TemporaryDirectory() as folder:
        log = TrialLog.create(Path(folder) / "trials.jsonl", {})
        strategy = make_strategy("surrogate", budget, seed, settings=settings)
        search(strategy, budget, log, measure, stop, fidelities=fitness.sample.fidelities)
    for trial in log.trials:
        patterns.add(trial.pattern)
        tokens += trial.measurement.tokens
        in_full = trial.met and trial.fidelity == full.passages and trial.measurement.whole
        if in_full and (best is None or trial.value < best.value):
            best = Outcome(trial.value, len(patterns), tokens / full.tokens)
    if best is None:
        answer = strategy.completion({trial.pattern: trial.value for trial in log.trials})
        assert answer is not None
        (measured,) = fitness([answer])
        best = Outcome(measured.value, len(patterns | {answer}), tokens / full.tokens + 1)
    return best


def table(outcomes: dict[str, list[Outcome]], optima: Sequence[float]) -> str:
    """Return one Markdown row per settings: median and range over seeds, and what differs from the default."""
    lines = [
        "| settings | best value | minus the default's | patterns until then | tokens until then | optimum found |",
        "|---|---|---|---|---|---|",
    ]
    default = [one.value for one in outcomes[DEFAULT]]
    for name, ones in outcomes.items():
        values = [one.value for one in ones]
        cells = [_spread(values), _spread([a - b for a, b in zip(values, default, strict=True)])]
        cells += [_spread([one.patterns for one in ones], ".0f"), _spread([one.tokens for one in ones], ".1f")]
        reached = sum(value <= optimum + 1e-12 for value, optimum in zip(values, optima, strict=False))
        lines.append(f"| {name} | {' | '.join(cells)} | {f'{reached} of {len(ones)}' if optima else '–'} |")
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float], form: str = ".4f") -> str:
    """Return median [smallest, largest]."""
    return f"{np.median(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


def compare(options: argparse.Namespace, contenders: Mapping[str, SurrogateSettings]) -> str:
    """Search with each of some settings for every seed; return the table."""
    space = next(space for space in SPACES if space.name == options.space)
    budget, kept = Bench.open(options.work).measured(space)
    pool, every = kept["search"], list(budget.patterns()) if space.small else []
    outcomes: dict[str, list[Outcome]] = {name: [] for name in contenders}
    optima = []
    for seed in range(options.seeds):
        fitness = fitness_on(pool, draw(pool.passages, A_GROUP, seed))
        for name, settings in contenders.items():
            stop = Stop(options.evaluations, options.tokens and options.tokens * fitness.sample.full.tokens)
            if not (options.evaluations or options.tokens):
                stop = Stop(len(every) // 4) if every else Stop(tokens=MARKS[-1] * fitness.sample.full.tokens)
            outcomes[name].append(outcome(budget, fitness, settings, seed, stop))
        if options.optimum:
            optima.append(min(measured.value for measured in fitness(every)))
        pool.save()
    return table(outcomes, optima)


def main() -> None:
    """Search, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--space", default="layer-3", choices=[space.name for space in SPACES])
    add("--ablation", action="append", choices=ABLATIONS, help="all without --set; may be repeated")
    add("--set", action="append", help="surrogate.<field>=<value> or process.<field>=<value>; may be repeated")
    add("--seeds", type=int, default=5, help="search samples drawn")
    add("--evaluations", type=int, help="distinct patterns per search; a quarter of a small space without a limit")
    add("--tokens", type=int, help="tokens per search, in patterns measured in full; 100 without a limit elsewhere")
    add("--optimum", action="store_true", help="measure every pattern of a small space too")
    add("--work", type=Path, default=Path("runs/optimum"), help="the set and everything measured")
    add("--list", action="store_true", help="print the ablations and all settings, and end")
    options = parser.parse_args()
    if options.list:
        print(*(f"{name}: {' '.join(changes)}" for name, changes in ABLATIONS.items()), sep="\n")
        print(json.dumps({"surrogate": asdict(SurrogateSettings())}, indent=2))
        return
    if options.optimum and not next(space.small for space in SPACES if space.name == options.space):
        parser.error(f"--optimum measures every pattern, but {options.space} is too large for it; leave it out")
    names = options.ablation or ([] if options.set else list(ABLATIONS))
    changes: dict[str, Sequence[str]] = {DEFAULT: (), **{name: ABLATIONS[name] for name in names}}
    if options.set:
        changes[" ".join(options.set)] = options.set
    try:
        contenders = {name: reduce(changed, some, SurrogateSettings()) for name, some in changes.items()}
    except ValueError as error:
        parser.error(str(error))
    options.work.mkdir(parents=True, exist_ok=True)
    print(compare(options, contenders))


if __name__ == "__main__":
    main()
