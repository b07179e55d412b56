"""mergekit's YAML: a stack of layers taken from the dense model.

Source: mergekit, ``merge_method: passthrough``, whose ``layer_range`` leaves out its second number, and
whose names of models may end in ``@`` and a commit, or in ``+`` and an adapter.
"""

from __future__ import annotations

import yaml

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.removal.cut import Cut
from evop.removal.space import layer_count


def mergekit_yaml(checkpoint: Checkpoint, cut: Cut) -> str:
    """Write what mergekit reads.

    Raises:
        EvopError: the pattern removes anything but whole layers, or has weights of its own.
    """
    if cut.kept or cut.bias or cut.weights:
        what = "weights of its own" if cut.weights else "blocks that keep some of their units"
        raise EvopError(f"--format mergekit takes whole layers of the dense model, and the pattern has {what}")
    gone = {layer for _, layer in cut.gone}
    if half := sorted(layer for layer in gone if not {("attn", layer), ("mlp", layer)} <= cut.gone):
        raise EvopError(f"--format mergekit takes whole layers, and the pattern leaves half of layer {half[0]}")
    stays = [layer for layer in range(layer_count(checkpoint)) if layer not in gone]
    ranges: list[list[int]] = []
    for layer in stays:
        if ranges and ranges[-1][1] == layer:
            ranges[-1][1] = layer + 1
        else:
            ranges.append([layer, layer + 1])
    slices = [{"sources": [{"model": _called(checkpoint), "layer_range": ends}]} for ends in ranges]
    dtype = str(checkpoint.resolved.dtype or "float32").removeprefix("torch.")
    return yaml.safe_dump({"slices": slices, "merge_method": "passthrough", "dtype": dtype}, sort_keys=False)


def _called(checkpoint: Checkpoint) -> str | dict[str, dict[str, str]]:
    """Name the model: with its commit where it is the hub's, in parts where its name has mergekit's own signs."""
    if checkpoint.revision is not None:
        return f"{checkpoint.name}@{checkpoint.revision}"
    return {"model": {"path": checkpoint.name}} if {"@", "+"} & set(checkpoint.name) else checkpoint.name
