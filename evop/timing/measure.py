"""Measuring the table: stacks of layers in which every other block of a kind is at one level, timed in turns."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers

from evop.model.checkpoint import Checkpoint
from evop.model.families import BLOCK_KINDS, BlockKind, family_of
from evop.model.loaded import choose_device, choose_dtype
from evop.removal.cut import Cut, Place
from evop.removal.pattern_facts import ModelName
from evop.removal.space import layer_count
from evop.timing.speed import Times, time_in_turns
from evop.timing.stand_in import stand_in
from evop.timing.table import BlockTime, FrameTime, LatencyTable, Timed
from evop.timing.workload import Workload
from evop.version import __version__
from patterns import PatternSpace

STACK, STACK_BYTES = 8, 1 << 28
"""Layers timed together, and bytes of weights, at least: enough to fill the caches as the whole model does."""
COUNTED = 0.25
"""Quantile over rounds that counts: what else a machine does only adds time, so the lower quartile is calmest."""
TABLE_SECONDS = 90.0
"""No further round of a table begins after so many seconds."""


def measured_table(
    checkpoint: Checkpoint,
    space: PatternSpace,
    workload: Workload,
    device: str = "auto",
    dtype: str = "auto",
    seconds: float | None = None,
) -> LatencyTable:
    """Time every level of a space's parts on a device; no further round begins after ``seconds`` (None for 90).

    A block is never timed alone: called again and again, its weights would stay in the processor's caches and its
    launch would hide behind nothing. Timed are models of 8 of its layers (more where they are small), really smaller
    ones, of the classes that ``evop prune`` writes, in which every other attention (or MLP) of one type of layer is
    at one level; the difference to the model in which they are gone, over how many there are, is a block's time.
    Every other one, because blocks of both kinds in turns, as in a pattern, take another time than those of one kind
    alone. Models take turns, too, so that what else the machine does falls on all of them. Weights are made up.
    """
    where = choose_device(device)
    bench = _Bench.of(checkpoint, space, workload, where, choose_dtype(dtype, where))
    taken = bench.times(TABLE_SECONDS if seconds is None else seconds)
    return LatencyTable(
        version=__version__,
        model=ModelName.of(checkpoint),
        device=device_name(where),
        dtype=bench.dtype,
        torch=torch.__version__,
        transformers=transformers.__version__,
        threads=torch.get_num_threads() if where.type == "cpu" else 0,
        batch=workload.batch,
        context=workload.context,
        decode=workload.decode,
        rounds=len(taken[DENSE].rounds),
        stack=len(bench.stack),
        layer_types=list(bench.layer_types),
        blocks=bench.blocks(taken),
        frames=[bench.frame(taken, name) for name in bench.members],
        outside=bench.outside(taken),
    )


Variant = tuple[str, ...]
"""Which model was timed: ``dense``, ``whole`` (head and all), ``(layers, kind, units gone)``, ``(layers, "layer")``."""
DENSE: Variant = ("dense",)
WHOLE: Variant = ("whole",)


@dataclass(frozen=True)
class _Bench:
    """What is timed, and on what device.

    Attributes:
        checkpoint: the dense model.
        workload: the request that is timed.
        device: the device.
        dtype: name of the dtype.
        layer_types: type of each decoder layer, by name; layers of one type are alike in shape.
        ladders: kind -> units gone at each level, 0 and all among them.
        stack: the layers that are timed together, ascending.
    """

    checkpoint: Checkpoint
    workload: Workload
    device: torch.device
    dtype: str
    layer_types: tuple[str, ...]
    ladders: Mapping[BlockKind, tuple[int, ...]]
    stack: tuple[int, ...]

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, space: PatternSpace, workload: Workload, device: torch.device, dtype: str
    ) -> _Bench:
        """Choose the layers and levels to time for a space."""
        types = getattr(checkpoint.resolved, "layer_types", None) or ["all"] * layer_count(checkpoint)
        names = tuple(map(str, types))
        # Bytes are counted as of float32, whichever dtype is timed; the types of layers share the stack evenly.
        bytes_per_layer = 4 * space.blocks.params // len(names)
        layers = max(STACK, -(-STACK_BYTES // bytes_per_layer))
        each = max(1, layers // len(set(names)))
        stack = sorted(i for name in set(names) for i in [j for j, other in enumerate(names) if other == name][:each])
        family = family_of(checkpoint.model_type)
        ladders: dict[BlockKind, tuple[int, ...]] = {}
        for kind in BLOCK_KINDS:
            levels = {gone for part in space.parts if part.kind == kind for gone in part.units}
            ladders[kind] = tuple(sorted(levels | {0, family.units(checkpoint.resolved, kind)}))
        return cls(checkpoint, workload, device, dtype, names, ladders, tuple(stack))

    @property
    def members(self) -> dict[str, tuple[int, ...]]:
        """Type of layer -> the layers of the stack that are of that type."""
        names = dict.fromkeys(self.layer_types)
        return {name: tuple(i for i in self.stack if self.layer_types[i] == name) for name in names}

    @property
    def changed(self) -> dict[str, tuple[int, ...]]:
        """Type of layer -> the layers at the level that is timed: every other one of the stack."""
        return {name: layers[1::2] or layers for name, layers in self.members.items()}

    def times(self, seconds: float) -> dict[Variant, _Taken]:
        """Time all variants in turns; no further round begins after so many seconds."""
        makers: dict[str, Callable[[], object]] = {}
        keys: dict[str, Variant] = {}
        for variant, cut in self._cuts().items():
            name = "/".join(variant)
            keys[name] = variant
            makers[name] = partial(stand_in, self.checkpoint, cut, self.device, self.dtype, head=variant == WHOLE)
        times = time_in_turns(makers, self.workload, seconds)
        return {keys[name]: _Taken.of(taken, self.workload) for name, taken in times.items()}

    def _cuts(self) -> dict[Variant, Cut]:
        """Make the cut of every variant: layers beside the stack are gone, some blocks of it are thinned or gone."""
        others = (layer for layer in range(len(self.layer_types)) if layer not in self.stack)
        beside = frozenset((kind, layer) for layer in others for kind in BLOCK_KINDS)
        cuts: dict[Variant, Cut] = {DENSE: Cut(beside), WHOLE: Cut(beside)}
        for name, layers in self.changed.items():
            for kind, ladder in self.ladders.items():
                places: list[Place] = [(kind, i) for i in layers]
                for gone in ladder[1:-1]:
                    kept = tuple(range(ladder[-1] - gone))
                    cuts[name, kind, str(gone)] = Cut(beside, dict.fromkeys(places, kept))
                cuts[name, kind, str(ladder[-1])] = Cut(beside | set(places))
            if len(layers) < len(self.stack):
                cuts[name, "layer"] = Cut(beside | {(kind, i) for i in layers for kind in BLOCK_KINDS})
        return cuts

    def blocks(self, taken: Mapping[Variant, _Taken]) -> list[BlockTime]:
        """List what a block of each type of layer takes at each level."""
        rows = []
        for name, layers in self.changed.items():
            for kind, ladder in self.ladders.items():
                absent = taken[name, kind, str(ladder[-1])]
                for gone in ladder:
                    level = taken[DENSE] if gone == 0 else taken[name, kind, str(gone)]
                    timed = level.over(absent, len(layers)).timed.model_dump()
                    rows.append(BlockTime(layers=name, kind=kind, gone=gone, units=ladder[-1], **timed))
        return rows

    def frame(self, taken: Mapping[Variant, _Taken], name: str) -> FrameTime:
        """Find what a layer of a type takes beside its blocks; nothing where there is but one layer to time."""
        if (name, "layer") not in taken:
            return FrameTime(layers=name, prefill_us=0, decode_us=0, spread_us=0)
        frame = taken[DENSE].over(taken[name, "layer"], len(self.changed[name]))
        for kind in BLOCK_KINDS:
            frame = frame.over(self._block(taken, name, kind))
        return FrameTime(layers=name, **frame.timed.model_dump())

    def outside(self, taken: Mapping[Variant, _Taken]) -> Timed:
        """Find what embeddings, last norm and head take: the stack with all of them, without its layers."""
        rest = taken[WHOLE]
        for name, layers in self.members.items():
            if (name, "layer") in taken:
                each = [taken[DENSE].over(taken[name, "layer"], len(self.changed[name]))]
            else:
                each = [self._block(taken, name, kind) for kind in BLOCK_KINDS]
            for inside in each:
                for _ in layers:
                    rest = rest.over(inside)
        return rest.timed

    def _block(self, taken: Mapping[Variant, _Taken], name: str, kind: BlockKind) -> _Taken:
        """Find what a whole block of a type of layer takes."""
        gone = taken[name, kind, str(self.ladders[kind][-1])]
        return taken[DENSE].over(gone, len(self.changed[name]))


@dataclass(frozen=True)
class _Taken:
    """Seconds that a model or a block takes: for the prefill, for a decoded token, for the request in every round."""

    prefill: float
    decode: float
    rounds: np.ndarray

    @classmethod
    def of(cls, times: Times, workload: Workload) -> _Taken:
        """Sum up the rounds of a model."""
        prefill, decode = (float(np.quantile(seconds, COUNTED)) for seconds in (times.prefill, times.decode))
        return cls(prefill, decode, times.request(workload))

    def over(self, other: _Taken, shared_by: int = 1) -> _Taken:
        """Subtract what another takes, and share the difference out over the blocks or layers that make it."""
        return _Taken(
            (self.prefill - other.prefill) / shared_by,
            (self.decode - other.decode) / shared_by,
            (self.rounds - other.rounds) / shared_by,
        )

    @property
    def timed(self) -> Timed:
        """The same in microseconds, as the table holds it."""
        low, high = np.quantile(self.rounds, (0.25, 0.75)).tolist()
        prefill, decode, spread = (round(1e6 * seconds, 3) for seconds in (self.prefill, self.decode, high - low))
        return Timed(prefill_us=prefill, decode_us=decode, spread_us=spread)


def device_name(device: torch.device) -> str:
    """Name a device: the model of its GPU or processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    except OSError:
        names = []
    return names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()
