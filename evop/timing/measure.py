"""Measure the table: stacks of layers in which all blocks of a kind are at one level, timed in turns."""

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
from evop.model.families import family_of
from evop.model.loaded import choose_device, choose_dtype
from evop.removal.cut import Cut, Place
from evop.removal.pattern_file import ModelName
from evop.removal.space import layer_count
from evop.timing.speed import Times, time_in_turns
from evop.timing.stand_in import stand_in
from evop.timing.table import BlockTime, FrameTime, LatencyTable, Timed
from evop.timing.workload import Workload
from evop.version import __version__
from patterns import PatternSpace

STACK, STACK_BYTES = 8, 1 << 28
"""Layers timed together, and bytes of weights, at least: enough to fill the caches as the whole model does."""
KINDS = ("attn", "mlp")
COUNTED = 0.25
"""The quantile over rounds that counts: what else a machine does only adds time, so the lower quartile is calmest."""
TABLE_SECONDS = 90.0
"""No further round of a table begins after so long."""


def measured_table(
    checkpoint: Checkpoint,
    space: PatternSpace,
    workload: Workload,
    device: str = "auto",
    dtype: str = "auto",
    seconds: float | None = None,
) -> LatencyTable:
    """Time every level of a space's parts on a device; no further round begins after ``seconds`` (90).

    A block is never timed alone: called again and again, its weights would stay in the processor's caches and its
    launch would hide behind nothing. Timed are models of 8 of its layers (more where they are small), really smaller
    ones, of the classes that ``evop prune`` writes, in which every other attention (or MLP) of one type of layer is
    at one level; the difference to the model in which they are gone, over how many there are, is a block's time.
    Every other one, because blocks of both kinds in turns, as in a pattern, take another time than those of one kind
    alone. Models take turns, too, so that what else the machine does falls on all of them. Weights are made up.
    """
    where = choose_device(device)
    bench = _Bench.of(checkpoint, space, workload, where, choose_dtype(dtype, where))
    found = bench.times(TABLE_SECONDS if seconds is None else seconds)
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
        rounds=len(found[DENSE].rounds),
        stack=len(bench.stack),
        layer_types=list(bench.layer_types),
        blocks=bench.blocks(found),
        frames=[bench.frame(found, name) for name in bench.members],
        outside=bench.outside(found),
    )


Variant = tuple[str, ...]
"""What was timed: ``dense``, ``whole`` (head and all), ``(layers, kind, units gone)``, or ``(layers, "layer")``."""
DENSE: Variant = ("dense",)
WHOLE: Variant = ("whole",)


@dataclass(frozen=True)
class _Bench:
    """What is timed, and on what.

    Attributes:
        layer_types: a name for each decoder layer; layers of one name are alike in shape.
        ladders: kind -> units gone at each level, 0 and all among them.
        stack: the layers that are timed together, ascending.
    """

    checkpoint: Checkpoint
    workload: Workload
    device: torch.device
    dtype: str
    layer_types: tuple[str, ...]
    ladders: Mapping[str, tuple[int, ...]]
    stack: tuple[int, ...]

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, space: PatternSpace, workload: Workload, device: torch.device, dtype: str
    ) -> _Bench:
        types = getattr(checkpoint.resolved, "layer_types", None) or ["all"] * layer_count(checkpoint)
        names = tuple(map(str, types))
        bytes_a_layer = 4 * space.blocks.params // len(names)
        layers = max(STACK, -(-STACK_BYTES // bytes_a_layer))
        each = max(1, layers // len(set(names)))
        stack = sorted(i for name in set(names) for i in [j for j, other in enumerate(names) if other == name][:each])
        family = family_of(checkpoint.model_type)
        ladders = {}
        for kind in KINDS:
            asked = {gone for part in space.parts if part.kind == kind for gone in part.units}
            ladders[kind] = tuple(sorted(asked | {0, family.units(checkpoint.resolved, kind)}))
        return cls(checkpoint, workload, device, dtype, names, ladders, tuple(stack))

    @property
    def members(self) -> dict[str, tuple[int, ...]]:
        """Name of a type of layer -> the layers of the stack that are of it."""
        names = dict.fromkeys(self.layer_types)
        return {name: tuple(i for i in self.stack if self.layer_types[i] == name) for name in names}

    @property
    def changed(self) -> dict[str, tuple[int, ...]]:
        """Name of a type of layer -> the layers at the level that is timed: every other one."""
        return {name: layers[1::2] or layers for name, layers in self.members.items()}

    def times(self, seconds: float) -> dict[Variant, _Taken]:
        """Everything timed, in turns."""
        made: dict[str, Callable[[], object]] = {}
        keys: dict[str, Variant] = {}
        for variant, cut in self._cuts().items():
            name = "/".join(variant)
            keys[name] = variant
            made[name] = partial(stand_in, self.checkpoint, cut, self.device, self.dtype, head=variant == WHOLE)
        found = time_in_turns(made, self.workload, seconds)
        return {keys[name]: _Taken.of(times, self.workload) for name, times in found.items()}

    def _cuts(self) -> dict[Variant, Cut]:
        beside = frozenset((kind, i) for i in range(len(self.layer_types)) if i not in self.stack for kind in KINDS)
        cuts: dict[Variant, Cut] = {DENSE: Cut(beside), WHOLE: Cut(beside)}
        for name, layers in self.changed.items():
            for kind, ladder in self.ladders.items():
                places: list[Place] = [(kind, i) for i in layers]
                for gone in ladder[1:-1]:
                    kept = tuple(range(ladder[-1] - gone))
                    cuts[name, kind, str(gone)] = Cut(beside, dict.fromkeys(places, kept))
                cuts[name, kind, str(ladder[-1])] = Cut(beside | set(places))
            if len(layers) < len(self.stack):
                cuts[name, "layer"] = Cut(beside | {(kind, i) for i in layers for kind in KINDS})
        return cuts

    def blocks(self, found: Mapping[Variant, _Taken]) -> list[BlockTime]:
        """What a block takes at each level."""
        rows = []
        for name, layers in self.changed.items():
            for kind, ladder in self.ladders.items():
                absent = found[name, kind, str(ladder[-1])]
                for gone in ladder:
                    here = found[DENSE] if gone == 0 else found[name, kind, str(gone)]
                    timed = here.over(absent, len(layers)).timed
                    rows.append(BlockTime(layers=name, kind=kind, gone=gone, of=ladder[-1], **timed.model_dump()))
        return rows

    def frame(self, found: Mapping[Variant, _Taken], name: str) -> FrameTime:
        """What a layer takes beside its blocks; nothing where there is but one layer to time."""
        if (name, "layer") not in found:
            return FrameTime(layers=name, prefill_us=0, decode_us=0, spread_us=0)
        frame = found[DENSE].over(found[name, "layer"], len(self.changed[name]))
        for kind in KINDS:
            frame = frame.over(self._block(found, name, kind))
        return FrameTime(layers=name, **frame.timed.model_dump())

    def outside(self, found: Mapping[Variant, _Taken]) -> Timed:
        """What embeddings, last norm and head take: the stack with all of them, without its layers."""
        rest = found[WHOLE]
        for name, layers in self.members.items():
            if (name, "layer") in found:
                each = [found[DENSE].over(found[name, "layer"], len(self.changed[name]))]
            else:
                each = [self._block(found, name, kind) for kind in KINDS]
            for taken in each:
                for _ in layers:
                    rest = rest.over(taken)
        return rest.timed

    def _block(self, found: Mapping[Variant, _Taken], name: str, kind: str) -> _Taken:
        """What a whole block takes."""
        gone = found[name, kind, str(self.ladders[kind][-1])]
        return found[DENSE].over(gone, len(self.changed[name]))


@dataclass(frozen=True)
class _Taken:
    """Seconds that something takes: of the prefill, of a decoded token, and of the request in every round."""

    prefill: float
    decode: float
    rounds: np.ndarray

    @classmethod
    def of(cls, times: Times, workload: Workload) -> _Taken:
        """What a model takes."""
        prefill, decode = (float(np.quantile(seconds, COUNTED)) for seconds in (times.prefill, times.decode))
        return cls(prefill, decode, times.request(workload))

    def over(self, other: _Taken, shared_by: int = 1) -> _Taken:
        """What it takes more than another, for each of those that make the difference."""
        return _Taken(
            (self.prefill - other.prefill) / shared_by,
            (self.decode - other.decode) / shared_by,
            (self.rounds - other.rounds) / shared_by,
        )

    @property
    def timed(self) -> Timed:
        """In microseconds, as the table has it."""
        low, high = np.quantile(self.rounds, (0.25, 0.75)).tolist()
        prefill, decode, spread = (round(1e6 * seconds, 3) for seconds in (self.prefill, self.decode, high - low))
        return Timed(prefill_us=prefill, decode_us=decode, spread_us=spread)


def device_name(device: torch.device) -> str:
    """What a device is called."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    except OSError:
        named = []
    return named[0].partition(":")[2].strip() if named else platform.processor() or platform.machine()
