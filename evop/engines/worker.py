"""A worker: a model of its own, and a fitness that judges as the driver's does. Knows no engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from evop.engines.chunk import Chunk, Done, Lost, Outcome, Refused, rows
from evop.errors import EvopError, first_line
from evop.evaluator import Profile
from evop.fitness.fitness import Fitness
from evop.fitness.folds import CrossFit
from evop.fitness.sample import Losses, Sample
from evop.fitness.search_evaluator import search_evaluator
from evop.fitness.store import LossStore
from evop.losses.objectives import Objective
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recipes.search import SearchRecipe
from evop.removal.ranking import Ranking
from evop.tokens.passages import TokenPassages
from patterns import Fidelity, PatternSpace


@dataclass(frozen=True)
class WorkerPlan:
    """Holds all that a worker is built from; light to send, for a worker reads the weights itself.

    Attributes:
        recipe: says how passages are run, and what is measured.
        checkpoint: the model; its folder has to be there where the worker is.
        device: ``cpu``, ``cuda`` or ``mps``; the worker's own.
        dtype: what the worker computes in, by name.
        threads: number of threads of the driver; sums depend on how many add them up.
        space: the parts of the model, priced.
        ranking: which units of the parts leave first.
        passages: the search sample.
        fidelities: the fidelities of the sample, ascending.
        objective: makes the value that is minimised of the groups' excess losses.
        dense: passages of a fidelity -> the dense model's mean loss per group.
        scale: group -> the excess that counts as one; None for none.
        cross: judges thinned parts by units that other passages rank; None for the one ranking.
    """

    recipe: SearchRecipe
    checkpoint: Checkpoint
    device: str
    dtype: str
    threads: int
    space: PatternSpace
    ranking: Ranking
    passages: TokenPassages
    fidelities: tuple[Fidelity, ...]
    objective: Objective
    dense: Mapping[int, Losses]
    scale: Mapping[str, float] | None
    cross: CrossFit | None

    @classmethod
    def of(cls, recipe: SearchRecipe, fitness: Fitness) -> WorkerPlan:
        """Plan a worker that judges as a fitness does."""
        sample = fitness.sample
        evaluator, loaded = sample.evaluator, sample.evaluator.loaded
        return cls(
            recipe=recipe,
            checkpoint=replace(loaded.checkpoint),  # without what it has read of its files so far
            device=loaded.device.type,
            dtype=loaded.dtype,
            threads=torch.get_num_threads(),
            space=evaluator.space,
            ranking=evaluator.ranking,
            passages=sample.passages,
            fidelities=sample.fidelities,
            objective=fitness.objective,
            dense=fitness.dense,
            scale=fitness.scale,
            cross=sample.cross,
        )

    def fitness(self) -> Fitness:
        """Load the model, and build what judges with it.

        Raises:
            EvopError: the model cannot be loaded here.
        """
        torch.set_num_threads(self.threads)
        loaded = load_model(self.checkpoint, self.device, self.dtype, self.recipe.trust_remote_code)
        evaluator = search_evaluator(self.recipe, loaded, self.space, self.ranking)
        sample = Sample(evaluator, self.passages, self.fidelities, cross=self.cross)
        return Fitness(sample, self.objective, self.dense, self.scale)


class Worker:
    """Measures chunks, one after another, keeping only the model and the dense streams from one to the next.

    Args:
        plan: what the worker is built from; the model is loaded with the first chunk.
    """

    def __init__(self, plan: WorkerPlan) -> None:
        self._plan = plan
        self._fitness: Fitness | None = None

    def measure(self, chunk: Chunk) -> Outcome:
        """Measure a chunk; what a person can mend is returned, not raised, so that no engine wraps it."""
        try:
            return self._measured(chunk)
        except EvopError as error:  # the evaluator has tried smaller batches before
            ran_out = isinstance(error.__cause__, torch.OutOfMemoryError)
            return Lost(str(error)) if ran_out else Refused(str(error))
        except (MemoryError, torch.OutOfMemoryError) as error:
            return Lost(f"out of memory: {first_line(error)}")

    def _measured(self, chunk: Chunk) -> Done:
        # A fresh store per chunk: what is measured depends on what the driver says is known, not on earlier chunks.
        self._fitness = self._fitness or self._plan.fitness()
        store, request = LossStore(None, {}), chunk.request
        for row in chunk.known:
            store.put(*row)
        profile = self._fitness.sample.evaluator.profile = Profile(exact=self._plan.recipe.profile)
        fitness = replace(self._fitness, sample=replace(self._fitness.sample, store=store))
        measurements = tuple(fitness(request.patterns, request.fidelity, request.bounds, chunk.order))
        held = rows(store, request.patterns, len(self._plan.fidelities))
        return Done(measurements, tuple(row for row in held if row not in chunk.known), profile)
