"""Timing the answer of a search by time: predicted and measured side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from evop.errors import EvopError
from evop.files.json_file import sha256
from evop.files.names import PATTERN, SPEED
from evop.model.loaded import LoadedModel
from evop.removal.cut import Cut
from evop.removal.pattern_file import PatternFile
from evop.timing.measure import device_name
from evop.timing.speed_file import SpeedFile
from evop.timing.stand_in import beside_dense
from evop.timing.table import LatencyTable

PRUNED = "pruned"


def answer_speed(folder: Path) -> SpeedFile | None:
    """Read how fast a run's answer was measured to be; None where it was not measured, or is another answer today."""
    try:
        measured = SpeedFile.read(folder / SPEED)
    except EvopError:
        return None
    return measured if measured.pattern == sha256(folder / PATTERN) else None


def time_answer(
    folder: Path,
    pattern: PatternFile,
    cut: Cut,
    loaded: LoadedModel,
    table: LatencyTable,
    report: Callable[[str], None],
) -> SpeedFile | None:
    """Time the loaded dense model and the pruned one, and write ``speed.json``, or read it where it is there.

    Args:
        folder: folder of the run.
        pattern: the run's answer.
        cut: what the answer takes out of the model.
        loaded: the dense model.
        table: the times by which the search counted its budget.
        report: is told why nothing is measured, where that is so.

    Returns:
        The speed of both models; None where the table is of another device, dtype or number of threads than are
        here, or where memory is too small for both models.
    """
    before = answer_speed(folder)
    if before is not None:
        return before
    threads = torch.get_num_threads() if loaded.device.type == "cpu" else 0
    here = (device_name(loaded.device), loaded.dtype, threads)
    if here != (table.device, table.dtype, table.threads):
        report(f"speed was predicted for {table.device}, {table.dtype}, and not measured here ({here[0]}, {here[1]})")
        return None
    reached = pattern.reached.latency
    try:
        speed = SpeedFile.measured(
            beside_dense(loaded, {PRUNED: cut}),
            table.workload,
            loaded.dtype,
            predicted={PRUNED: None if reached is None else 1 - reached},
            pattern=sha256(folder / PATTERN),
        )
    except torch.OutOfMemoryError:
        report(
            "the answer was not timed: the pruned model does not fit beside the dense one; prune it, then evop speed"
        )
        return None
    speed.write(folder / SPEED)
    return speed
