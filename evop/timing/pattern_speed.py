"""Size and speed of audited patterns beside the dense model, measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from evop.model.loaded import LoadedModel
from evop.removal.cut import Cut
from evop.timing.answer_speed import DENSE
from evop.timing.speed_file import SpeedFile
from evop.timing.stand_in import stand_in
from evop.timing.workload import Workload

SECONDS = 5.0
"""No further round of timing begins after so long."""


def time_patterns(loaded: LoadedModel, cuts: Mapping[str, Cut], report: Callable[[str], None]) -> SpeedFile | None:
    """Time the dense model and what pruning it would give, in turns; weights of these are made up, shapes are not.

    Args:
        loaded: the dense model.
        cuts: pattern -> what it takes out.
        report: is told why nothing was timed, where that is so.

    Returns:
        None where memory is too small for them side by side, or the model lies on several devices.
    """
    if len({weight.device for weight in loaded.model.parameters()}) > 1:
        report("speed is not measured: the model lies on several devices")
        return None
    model: Any = loaded.model
    workload = Workload.of(loaded.checkpoint.resolved)
    report(f"timing: {workload.words}")
    try:
        models: dict[str, Any] = {DENSE: model}
        models |= {name: stand_in(loaded.checkpoint, cut, loaded.device, loaded.dtype) for name, cut in cuts.items()}
        whole = loaded.checkpoint.weight_file_bytes
        dense = model.num_parameters()
        sizes = {name: round(whole * each.num_parameters() / dense) for name, each in models.items()}
        return SpeedFile.measured(models, workload, loaded.dtype, predicted={}, bytes=sizes, seconds=SECONDS)
    except torch.OutOfMemoryError:
        report("speed is not measured: the pruned models do not fit beside the dense one; prune, then evop speed")
        return None
