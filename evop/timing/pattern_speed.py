"""Measuring size and speed of audited patterns beside the dense model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from evop.model.loaded import LoadedModel
from evop.removal.cut import Cut
from evop.timing.speed_file import SpeedFile
from evop.timing.stand_in import DENSE, beside_dense
from evop.timing.workload import Workload

SECONDS = 5.0
"""No further round of timing begins after so many seconds."""


def time_patterns(loaded: LoadedModel, cuts: Mapping[str, Cut], report: Callable[[str], None]) -> SpeedFile | None:
    """Time the dense model and, in turns with it, models of the shapes that pruning it would give.

    Args:
        loaded: the dense model.
        cuts: name of each pattern -> what the pattern takes out of the model.
        report: is told why nothing was timed, where that is so.

    Returns:
        Size and speed of all models; None where memory is too small for them side by side, or the dense model lies
        on several devices.
    """
    if len({weight.device for weight in loaded.model.parameters()}) > 1:
        report("speed is not measured: the model lies on several devices")
        return None
    workload = Workload.of(loaded.checkpoint.resolved)
    report(f"timing: {workload.words}")
    try:
        models = beside_dense(loaded, cuts)
        whole = loaded.checkpoint.weight_file_bytes
        dense = models[DENSE].num_parameters()
        sizes = {name: round(whole * each.num_parameters() / dense) for name, each in models.items()}
        return SpeedFile.measured(models, workload, loaded.dtype, predicted={}, bytes=sizes, seconds=SECONDS)
    except torch.OutOfMemoryError:
        report("speed is not measured: the pruned models do not fit beside the dense one; prune, then evop speed")
        return None
