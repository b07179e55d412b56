"""The cluster of workers on Ray: the one file that imports Ray."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from evop.engines.chunk import Chunk, Lost, Outcome
from evop.engines.worker import Worker, WorkerPlan
from evop.errors import EvopError, first_line

ANSWER_SECONDS = 5.0
"""Seconds in which a Ray that runs elsewhere has to answer."""
SHARED_MEMORY = 100 << 20
"""Bytes of shared memory of a Ray that is started here; only passages and losses go through it."""


class RayCluster:
    """Holds workers on a Ray that is joined where there is one, else started on this machine and stopped in the end.

    Args:
        plan: what each worker is built from.
        workers: number of workers; None for one per GPU, or as many as the processors have room for.

    Raises:
        EvopError: no Ray answers where ``RAY_ADDRESS`` says, or it has no room for so many workers.
    """

    def __init__(self, plan: WorkerPlan, workers: int | None) -> None:
        self._ray: Any = import_module("ray")
        self._needs = {"CPU": 1, "GPU": 1} if plan.device == "cuda" else {"CPU": plan.threads}
        self._ours = not self._ray.is_initialized()
        if self._ours:
            self._connect(workers)
        try:
            self.size = self._room(workers)
        except EvopError:
            self.close()
            raise
        needs = {"num_cpus": self._needs["CPU"], "num_gpus": self._needs.get("GPU", 0)}
        self._actor = self._ray.remote(**needs, max_restarts=0)(Worker)
        self._plan = self._ray.put(plan)

    def hire(self) -> Any:
        """Start one more worker."""
        return self._actor.remote(self._plan)

    def fire(self, worker: Any) -> None:
        """End a worker, alive or not."""
        self._ray.kill(worker, no_restart=True)

    def send(self, worker: Any, chunk: Chunk) -> Any:
        """Have a worker measure a chunk.

        Returns:
            What ``finished`` waits for, and ``outcome`` reads.
        """
        return worker.measure.remote(chunk)

    def finished(self, sent: Sequence[Any], seconds: float) -> list[Any]:
        """List the chunks sent that came to an end, good or bad; waits for the first, so many seconds at most."""
        return self._ray.wait(list(sent), timeout=seconds)[0]

    def outcome(self, sent: Any) -> Outcome:
        """Read what came of a chunk that is finished; a programming mistake in a worker is raised as it is."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(sent)
        except errors.RayTaskError:
            raise
        except errors.RayError as error:
            return Lost(first_line(error))

    def close(self) -> None:
        """Leave a Ray that was joined, stop one that was started; its workers end with it."""
        if self._ours and self._ray.is_initialized():
            self._ray.shutdown()

    def _connect(self, workers: int | None) -> None:
        """Join the Ray that ``RAY_ADDRESS`` names, or start one on this machine.

        Raises:
            EvopError: none answers, or none starts.
        """
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        address = os.environ.get("RAY_ADDRESS")
        try:
            if address:
                _knock(address)
                self._ray.init(address=address, **quiet)
                return
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a search tells nobody that it runs
            self._ray.init(
                address="local",
                num_cpus=workers * self._needs["CPU"] if workers else None,
                include_dashboard=False,
                object_store_memory=SHARED_MEMORY,
                **quiet,
            )
        except (OSError, OverflowError, RuntimeError, ValueError) as error:
            where = f"RAY_ADDRESS={address}: no Ray of this version answers there" if address else "Ray does not start"
            do = "start one there, or unset RAY_ADDRESS" if address else "use --engine serial"
            raise EvopError(f"--engine ray: {where} ({first_line(error)}); {do}") from error

    def _room(self, workers: int | None) -> int:
        """Count the workers that there will be.

        Raises:
            EvopError: Ray has no room for as many as were asked for.
        """
        resources = self._ray.cluster_resources()
        most = min(int(resources.get(name, 0) // count) for name, count in self._needs.items())
        if (workers or 1) > most:
            each = " and ".join(f"{count} {name}" for name, count in self._needs.items())
            have = ", ".join(f"{int(resources.get(name, 0))} {name}" for name in self._needs)
            threads = ", or each fewer threads with OMP_NUM_THREADS=1" if self._needs["CPU"] > 1 else ""
            raise EvopError(f"--workers {workers or 1}: each takes {each}, and Ray has {have}; give fewer{threads}")
        return workers or most


def _knock(address: str) -> None:
    """Check that somebody listens at ``host:port`` or ``ray://host:port``; Ray itself would wait for minutes.

    Raises:
        OSError: nobody listens.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
