"""The engine that spreads a round over workers on Ray, each holding the model once."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from evop.engines.chunk import Chunk, Done, Lost, Refused, chunks
from evop.engines.ray_cluster import RayCluster
from evop.engines.worker import WorkerPlan
from evop.errors import EvopError
from evop.fitness.fitness import Fitness
from evop.recipes.search import SearchRecipe
from patterns import Measurement, Request, Stop

POLL_SECONDS = 0.2
"""Seconds between two checks whether the search is over."""
TRIES = 3
"""Number of workers lost over one chunk that ends the search."""


class RayEngine:
    """Measures with workers on Ray; they are started with the first request, so that a finished search starts none.

    Args:
        recipe: says how many workers.
        fitness: judges as the workers do; its store is told what they measured.
        report: is given a line where a worker is replaced.
    """

    def __init__(self, recipe: SearchRecipe, fitness: Fitness, report: Callable[[str], None]) -> None:
        self._recipe, self._fitness, self._report = recipe, fitness, report
        self._cluster: RayCluster | None = None
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Chunk]] = {}

    def measure(self, request: Request, order: Sequence[str], stop: Stop) -> list[Measurement]:
        """Deal the patterns out, and put what comes back into the order of the request."""
        cluster, sample = self._ready(), self._fitness.sample
        waiting = deque(chunks(request, order, cluster.size, sample.store, len(sample.fidelities)))
        measured: dict[int, Measurement] = {}
        lost: Counter[tuple[int, ...]] = Counter()
        while waiting or self._busy:
            while waiting and self._idle:
                worker, chunk = self._idle.pop(), waiting.popleft()
                self._busy[cluster.send(worker, chunk)] = (worker, chunk)
            if stop.over:
                self.close()
                return []
            for sent in cluster.finished(list(self._busy), POLL_SECONDS):
                worker, chunk = self._busy.pop(sent)
                outcome = cluster.outcome(sent)
                if isinstance(outcome, Done):
                    measured |= self._taken(chunk, outcome)
                    self._idle.append(worker)
                elif isinstance(outcome, Refused):
                    raise EvopError(outcome.says)
                else:
                    lost[chunk.places] += 1
                    self._replace(worker, chunk, outcome, lost[chunk.places])
                    waiting.appendleft(chunk)
        return [measured[at] for at in range(len(request.patterns))]

    def close(self) -> None:
        """End the workers, and Ray where it was started here; chunks in flight are lost."""
        if self._cluster is not None:
            for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
                self._cluster.fire(worker)
            self._idle, self._busy = [], {}
            self._cluster.close()
            self._cluster = None

    def _ready(self) -> RayCluster:
        """Return the cluster, started with the first call."""
        if self._cluster is None:
            self._cluster = RayCluster(WorkerPlan.of(self._recipe, self._fitness), self._recipe.workers)
            self._idle = [self._cluster.hire() for _ in range(self._cluster.size)]
        return self._cluster

    def _taken(self, chunk: Chunk, done: Done) -> dict[int, Measurement]:
        """Take a measured chunk in: what was learnt goes to the store, which this process alone writes.

        Returns:
            Index in the request -> measurement.
        """
        sample = self._fitness.sample
        for row in done.learnt:
            sample.store.put(*row)
        sample.evaluator.profile.add(done.profile)
        return dict(zip(chunk.places, done.measurements, strict=True))

    def _replace(self, worker: Any, chunk: Chunk, lost: Lost, times: int) -> None:
        """Start another worker in place of one that was lost.

        Raises:
            EvopError: too many workers were lost over this chunk.
        """
        assert self._cluster is not None
        self._cluster.fire(worker)
        what = f"{len(chunk.places)} pattern(s) of round {chunk.request.round}"
        if times == TRIES:
            raise EvopError(
                f"--engine ray: {TRIES} workers were lost over {what}, the last one: {lost.why.rstrip('.')}; memory "
                "may have run out: give fewer --workers or a smaller --batch-size and run the same command again"
            )
        self._report(f"a worker was lost ({lost.why.rstrip('.')}); another measures its {what} again")
        self._idle.append(self._cluster.hire())
