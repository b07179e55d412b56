"""The landscapes of ``arms.py``: a model's own, and one of its measured sensitivities."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from optimum_pool import Measured

from calibration import CalibrationSet, build_calibration_set
from evop.evaluator import Evaluator
from evop.fitness.fidelities import SHARES, fidelities_of
from evop.fitness.fitness import Fitness
from evop.fitness.sample import Sample
from evop.losses.objectives import cvar, worst
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recipes.search import SearchRecipe
from evop.recipes.words import calibration_recipe
from evop.searching.plan import SearchPlan, searched_space
from evop.tokens.passages import tokenize
from patterns import Budget, Fidelity, Measurement, Pattern, Request

MAX_TOKENS, BATCH = 40, 16
A_GROUP = 8
"""Passages of a group on a landscape of sensitivities, to search and to audit each; half of it in a model's search."""
JITTER, INTERACTION, NEIGHBOURS = 0.35, 0.16, 0.2
"""Standard deviations of logarithms: of a sensitivity from passage to passage and from model to model, of what two
parts cost together against apart, and of what neighbours cost more."""


class Landscape(Protocol):
    """What an arm searches on, and is judged on."""

    budget: Budget
    fidelities: tuple[Fidelity, ...]

    def __call__(self, request: Request) -> Iterator[Measurement]:
        """Measure patterns on the search sample."""

    def judged(self, pattern: Pattern) -> dict[str, float]:
        """Return a pattern's value on the search sample, and on the audit, the worst group's excess there too."""


@dataclass(frozen=True)
class Asked:
    """What an arm is asked to remove."""

    name: str
    remove: float
    cost: str
    deploy: str = "any"


class ModelLandscape:
    """The losses of a model on the calibration set of a seed."""

    def __init__(self, model: str, domains: tuple[str, ...], asked: Asked, seed: int, work: Path) -> None:
        calibration = calibration_of(domains, seed, work)
        loaded = load_model(Checkpoint.find(model), "cpu", "float32")
        recipe = SearchRecipe.of(remove=asked.remove, cost=asked.cost, deploy=asked.deploy)
        self.budget = SearchPlan.of(loaded.checkpoint, recipe, searched_space(loaded.checkpoint, recipe)).budget
        evaluator = Evaluator.of(loaded, self.budget.space, MAX_TOKENS, BATCH)
        self._kept, self._fitness = [], {}
        for split in ("search", "audit"):
            passages = tokenize(calibration.split(split), loaded.tokenizer, MAX_TOKENS)
            if split == "search":
                passages = passages.take(range(min(len(passages.ids), A_GROUP // 2 * len(set(passages.groups)))))
            self._kept.append(Measured(passages, work / f"{split}-{seed}.npz", evaluator))
            sample = Sample(self._kept[-1], passages, fidelities_of(passages))  # type: ignore[arg-type]
            dense = {fidelity.passages: sample.dense(fidelity) for fidelity in sample.fidelities}
            self._fitness[split] = {rule: Fitness(sample, rule, dense) for rule in (cvar, worst)}
        self.fidelities = self._fitness["search"][cvar].sample.fidelities

    def __call__(self, request: Request) -> Iterator[Measurement]:
        """Measure patterns on the search sample."""
        return self._fitness["search"][cvar](request.patterns, request.fidelity, request.bounds)

    def judged(self, pattern: Pattern) -> dict[str, float]:
        """Return a pattern's value on the search sample, and on the audit, the worst group's excess there too."""
        values = {}
        for name, split, rule in (("search", "search", cvar), ("audit", "audit", cvar), ("worst", "audit", worst)):
            (measured,) = self._fitness[split][rule]([pattern])
            values[name] = measured.value
        for kept in self._kept:
            kept.save()
        return values


class SensitivityLandscape:
    """Measured sensitivities of a model, times lognormal interactions of every two parts, drawn by the seed.

    A passage loses the sum of what the parts gone cost it, times the exponential of the sum of their interactions. A
    passage's costs are those of a measured one, each times a lognormal number; so are those of all passages together.
    """

    def __init__(self, cost: np.ndarray, groups: np.ndarray, budget: Budget, seed: int) -> None:
        self.budget = budget
        rng, parts = np.random.default_rng(seed), cost.shape[1]
        names = list(dict.fromkeys(groups.tolist()))
        at = [rng.choice(np.flatnonzero(groups == name)) for _ in range(2 * A_GROUP) for name in names]
        drawn = cost[at] * np.exp(rng.normal(0, JITTER, (len(at), parts))) * np.exp(rng.normal(0, JITTER, parts))
        self._group = np.array(list(range(len(names))) * 2 * A_GROUP)
        self._count = len(at) // 2
        self._cost = drawn
        pairs = np.triu(rng.normal(INTERACTION / 3, INTERACTION, (parts, parts)), 1)
        pairs[np.arange(parts - 1), np.arange(1, parts)] += np.abs(rng.normal(0, NEIGHBOURS, parts - 1))
        self._pairs = pairs
        ends = sorted({max(len(names), math.ceil(share * self._count)) for share in SHARES})
        self.fidelities = tuple(Fidelity(end, end) for end in ends)

    def __call__(self, request: Request) -> Iterator[Measurement]:
        """Measure patterns on the search sample."""
        for pattern in request.patterns:
            yield Measurement(cvar(self._excess(pattern, slice(request.fidelity.passages))), {"": 0.0}, 0)

    def judged(self, pattern: Pattern) -> dict[str, float]:
        """Return a pattern's value on the search sample, and on the audit, the worst group's excess there too."""
        audit = self._excess(pattern, slice(self._count, None))
        return {
            "search": cvar(self._excess(pattern, slice(self._count))),
            "audit": cvar(audit),
            "worst": worst(audit),
        }

    def _excess(self, pattern: Pattern, passages: slice) -> np.ndarray:
        """Return the mean excess of each group on some passages, float [groups]."""
        gone = np.array(pattern.levels, dtype=float)
        loss = self._cost[passages] @ gone * math.exp(min(3.0, float(gone @ self._pairs @ gone)))
        group = self._group[passages]
        return np.bincount(group, loss) / np.bincount(group)


def sensitivities(model: str, domains: tuple[str, ...], work: Path, seed: int, a_group: int) -> dict[str, np.ndarray]:
    """Measure what each sub-block costs alone, passage by passage; read it where that was done before.

    Returns:
        ``cost``, nats per token, float [passages, parts], and ``groups``, str [passages].
    """
    file = work / "sensitivities.npz"
    if not file.is_file():
        calibration = calibration_of(domains, seed, work)
        loaded = load_model(Checkpoint.find(model), "cpu", "float32")
        recipe = SearchRecipe.of(remove=0.25, deploy="any")
        space = searched_space(loaded.checkpoint, recipe)
        pool = tokenize(calibration.split("search"), loaded.tokenizer, MAX_TOKENS)
        passages = pool.take(range(min(len(pool.ids), a_group * len(set(pool.groups)))))
        patterns = [space.dense, *(space.dense.with_level(i, 1) for i in range(len(space.parts)))]
        tables = Evaluator.of(loaded, space, MAX_TOKENS, BATCH).losses(patterns, passages)
        dense, *alone = (table.loss / np.array(passages.scored) for table in tables)
        np.savez(file, cost=np.stack([loss - dense for loss in alone], axis=1), groups=np.array(passages.groups))
    with np.load(file, allow_pickle=False) as kept:
        return {"cost": kept["cost"], "groups": kept["groups"]}


def calibration_of(domains: tuple[str, ...], seed: int, work: Path) -> CalibrationSet:
    """Return the calibration set of a seed, built where there is none."""
    folder = work / f"set-{seed}"
    if not folder.is_dir():
        recipe = calibration_recipe(
            domains, group_by=["document"] if len(domains) > 1 else [], clusters=2, embedder="lexical",
            passages=16, passage_chars=400,
            limit=1500, hold_out=0, min_group_tokens=250, select_passages=4, audit_passages=12, seed=seed,
        )  # fmt: skip
        build_calibration_set(recipe).save(folder)
    return CalibrationSet.load(folder)
