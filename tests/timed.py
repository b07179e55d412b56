"""Tables of times written by hand: what a search by time does must not depend on a clock."""

from __future__ import annotations

from collections.abc import Mapping

from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.removal.pattern_facts import ModelName
from evop.removal.space import layer_count
from evop.timing.table import BlockTime, FrameTime, LatencyTable, Timed

ATTN, MLP, FRAME, OUTSIDE = 300.0, 100.0, 20.0, 500.0
"""Microseconds of a prefill; a decoded token takes a hundredth."""


def table_by_hand(
    checkpoint: Checkpoint,
    times: Mapping[str, Mapping[int, float]] | None = None,
    frame: float = FRAME,
    **changes: object,
) -> LatencyTable:
    """A table of a model.

    Args:
        checkpoint: the model.
        times: kind -> units gone -> microseconds of a prefill; None for whole blocks alone.
        frame: of a layer beside its blocks.
        **changes: other fields.
    """
    family, layers = family_of(checkpoint.model_type), layer_count(checkpoint)
    units = {kind: family.units(checkpoint.resolved, kind) for kind in ("attn", "mlp")}
    whole = {"attn": {0: ATTN, units["attn"]: 0.0}, "mlp": {0: MLP, units["mlp"]: 0.0}}
    names = getattr(checkpoint.resolved, "layer_types", None) or ["all"] * layers
    rows = [
        BlockTime(layers=name, kind=kind, gone=gone, units=units[kind], **_timed(time))
        for name in dict.fromkeys(names)
        for kind, ladder in {**whole, **(times or {})}.items()
        for gone, time in ladder.items()
    ]
    content = {
        "version": "0",
        "model": ModelName.of(checkpoint),
        "device": "a machine of no name",
        "dtype": "float32",
        "torch": "0",
        "transformers": "0",
        "threads": 1,
        "batch": 1,
        "context": 64,
        "decode": 10,
        "rounds": 3,
        "stack": layers,
        "layer_types": list(names),
        "blocks": rows,
        "frames": [FrameTime(layers=name, **_timed(frame)) for name in dict.fromkeys(names)],
        "outside": Timed(**_timed(OUTSIDE)),
    }
    return LatencyTable(**{**content, **changes})


def _timed(microseconds: float) -> dict[str, float]:
    return {"prefill_us": microseconds, "decode_us": microseconds / 100, "spread_us": 1.0}
