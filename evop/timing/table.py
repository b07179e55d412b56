"""``latency.json``: what each block takes at each level on one device; and the space whose levels know their time."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import ClassVar

from pydantic import ConfigDict, Field

from evop.errors import EvopError
from evop.files.json_file import JsonFile, JsonPart
from evop.model.checkpoint import Checkpoint
from evop.model.families import BLOCK_KINDS
from evop.removal.cut import places
from evop.removal.pattern_facts import ModelName
from evop.timing.workload import Workload
from patterns import Part, PatternSpace


class Timed(JsonPart):
    """Microseconds of reading the context and of one decoded token, and the spread of the whole request.

    The lower quartile over rounds counts; ``spread_us`` is the distance between the quartiles of the request's time.
    """

    prefill_us: float
    decode_us: float
    spread_us: float


class BlockTime(Timed):
    """What one block takes with some of its units gone; as measured, so noise may make a smaller block slower."""

    model_config = ConfigDict(populate_by_name=True)
    layers: str
    """The layers that the block lies in: those of a type of attention, or ``all``."""
    kind: str
    gone: int
    units: int = Field(validation_alias="of", serialization_alias="of")
    """Units that the dense block has."""


class FrameTime(Timed):
    """What one layer takes beside its two blocks; negative where the two together take less than each by itself."""

    layers: str


class LatencyTable(JsonFile):
    """Measured times of one model's blocks on one device, for one workload.

    Attributes:
        device: name of the device.
        threads: threads that torch computed with; 0 where the processor did not compute.
        batch: number of sequences of the workload, with ``context`` and ``decode`` as in ``Workload``.
        rounds: how often each model was timed.
        stack: number of layers that were timed together.
        layer_types: type of each decoder layer, by the name that ``blocks`` and ``frames`` give it.
        blocks: microseconds per block, by kind and units gone.
        frames: microseconds per layer beside its blocks.
        outside: microseconds of embeddings, last norm and head.
    """

    SCHEMA: ClassVar[str] = "evop.latency/2"
    version: str
    model: ModelName
    device: str
    dtype: str
    torch: str
    transformers: str
    threads: int
    batch: int
    context: int
    decode: int
    rounds: int
    stack: int
    layer_types: list[str]
    blocks: list[BlockTime]
    frames: list[FrameTime]
    outside: Timed

    @property
    def workload(self) -> Workload:
        """The request that was timed."""
        return Workload(self.batch, self.context, self.decode)

    @property
    def words(self) -> str:
        """What was timed and where, as a person reads it."""
        return self.workload.timed_on(self.device, self.dtype, self.threads)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of the content; searches by different tables are different searches."""
        content = self.model_dump(by_alias=True, exclude={"schema_"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def unrest(self) -> float:
        """How far apart the rounds were: the median spread over all levels, as a fraction of a whole block's time."""
        whole = {(row.layers, row.kind): self._request(row) / 1000 for row in self.blocks if row.gone == 0}
        spreads = [row.spread_us / max(1.0, whole[row.layers, row.kind]) for row in self.blocks if row.gone < row.units]
        return median(spreads)

    def refuse_another(self, checkpoint: Checkpoint, space: PatternSpace, place: Path) -> None:
        """Check that the table is of this model, and has a time for every level of a space.

        Raises:
            EvopError: it is of another, or lacks one.
        """
        if self.model.fingerprint != checkpoint.fingerprint:
            raise EvopError(
                f"{place} holds times of {self.model.name} ({self.model.fingerprint[:12]}), but --model "
                f"{checkpoint.name} is {checkpoint.fingerprint[:12]}; give its own table, or leave --latency-table out"
            )
        for part in space.parts:
            for kind, _ in places(part):
                known = self._measured(part.layer, kind)
                missing = [gone for gone in part.units if gone not in known]
                if missing or not known:
                    raise EvopError(
                        f"{place} has no time for {part.name} with {missing[0] if missing else 'all'} units gone, only "
                        f"for {', '.join(map(str, sorted(known)))}: it is of another --grain or --width-step; give a "
                        "table of these levels, or leave --latency-table out"
                    )

    def refuse_another_workload(self, batch: int | None, context: int | None, decode: int | None, place: Path) -> None:
        """Check that the table was measured for the workload of the options; None for an option left out.

        Raises:
            EvopError: it was measured for another.
        """
        for name, wanted in {"batch": batch, "context": context, "decode": decode}.items():
            if wanted is not None and wanted != (measured := getattr(self, name)):
                raise EvopError(
                    f"{place} was measured with --latency-{name} {measured}, asked for is {wanted}; ask for "
                    f"{measured}, or for a new table"
                )

    def timed(self, space: PatternSpace) -> PatternSpace:
        """Give every level of a space the time it removes, and the space a fingerprint of its own.

        Measured times are made to fall along each ladder by isotonic regression (least squares), so that a level
        never gives time back; levels that save nothing beside the one before are equal to it. Of whole layers, and
        under ``stock``, where attention and MLP leave in pairs and a layer with each, the time a layer takes beside
        its blocks leaves with them, half with each.
        """
        parts = tuple(
            replace(
                part,
                removed=tuple(
                    replace(cost, latency=time)
                    for cost, time in zip(part.removed, self._saved(space, part), strict=True)
                ),
            )
            for part in space.parts
        )
        blocks = sum(self._layer(kind) for kind in self.layer_types)
        return replace(
            space,
            parts=parts,
            blocks=replace(space.blocks, latency=blocks),
            model=replace(space.model, latency=blocks + max(0, self._request(self.outside))),
            origin={**space.origin, "latency": self.fingerprint},
        )

    def _saved(self, space: PatternSpace, part: Part) -> list[int]:
        """Find the nanoseconds of the request that are gone at each level of a part."""
        if part.kind == "layer":
            return [0, self._layer(self.layer_types[part.layer])]
        known = self._fallen(self.layer_types[part.layer], part.kind)
        whole = known[0]
        saved = [whole - known[gone] for gone in (part.units or (0, max(known)))]
        # Under stock a layer leaves when both of its blocks do, so each takes half of what the layer is beside them.
        if space.deploy == "stock":
            saved[-1] = max(saved[-2], saved[-1] + self._frame(self.layer_types[part.layer]) // 2)
        return saved

    def _layer(self, layers: str) -> int:
        """Add up the nanoseconds of a whole layer."""
        return sum(self._fallen(layers, kind)[0] for kind in BLOCK_KINDS) + self._frame(layers)

    def _frame(self, layers: str) -> int:
        """Find the nanoseconds of a layer beside its blocks."""
        frame = next(frame for frame in self.frames if frame.layers == layers)
        return self._request(frame)

    def _fallen(self, layers: str, kind: str) -> dict[int, int]:
        """Smooth the nanoseconds that a block still takes, by units gone, so that they fall; 0 where all are gone."""
        from sklearn.isotonic import isotonic_regression

        rows = sorted(
            (row for row in self.blocks if (row.layers, row.kind) == (layers, kind)), key=lambda row: row.gone
        )
        fallen = isotonic_regression([self._request(row) for row in rows], increasing=False, y_min=0)
        return {row.gone: round(value) if row.gone < row.units else 0 for row, value in zip(rows, fallen, strict=True)}

    def _measured(self, layer: int, kind: str) -> set[int]:
        """List the numbers of units gone for which a block of a layer has a time."""
        layers = self.layer_types[layer] if layer < len(self.layer_types) else None
        return {row.gone for row in self.blocks if (row.layers, row.kind) == (layers, kind)}

    def _request(self, timed: Timed) -> int:
        """Add up the nanoseconds of the whole request."""
        return round(1000 * self.workload.total(timed.prefill_us, timed.decode_us))
