"""``pattern.json``: which parts leave, of which model, what stays of others, and what the search claims for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from evop.errors import EvopError
from evop.files.json_file import JsonFile, inside
from evop.files.names import PATTERN
from evop.model.checkpoint import Checkpoint
from evop.removal.corrections import read_corrections
from evop.removal.cut import Cut, from_ranges, part_name, place_of, places_of, to_ranges
from evop.removal.memory import Memory
from evop.removal.pattern_facts import (
    Claim,
    Compensate,
    FitNote,
    ModelName,
    Origin,
    ReachedFractions,
    RefitNote,
    without_none,
)
from evop.removal.size import Remove
from evop.removal.space import pattern_space
from patterns import Budget, Pattern, PatternSpace
from patterns.feasible import asked_of


class PatternFile(JsonFile):
    """A pattern with a person's names for its parts, and where it came from; it prunes its model by itself.

    Attributes:
        removed: names of the parts that are gone.
        kept: names of the parts that are thinned -> the units that stay, as ranges: ``"0-5,7"``.
        compensate: what stands in for units that leave: ``"none"``, ``"bias"``, or ``"obs"`` for least-squares weights.
        refit: how last projections were refitted; None where they have the dense model's weights.
        corrections: sha256 of ``corrections.safetensors`` beside the file, the biases of thinned parts and the weights
            that were refitted; None for none. A checkpoint names it too, though it holds the weights itself.
        latency: fingerprint of ``latency.json`` beside the file, the times of the search; None where it had none.
        remove: the fraction of the blocks' ``cost`` that was asked to leave, or one of each of several costs; None
            where ``fit`` alone says how much.
        fit: the bytes that the pruned model was asked to fit in; None for no such limit.
        space: fingerprint of the space that was searched.
    """

    SCHEMA: ClassVar[str] = "evop.pattern/6"
    model: ModelName
    grain: str
    deploy: str
    protected: list[str]
    width_step: int | None = None
    remove: Remove
    cost: str
    fit: FitNote | None = None
    removed: list[str]
    kept: dict[str, str] = Field(default_factory=dict)
    compensate: Compensate = "none"
    refit: RefitNote | None = None
    corrections: str | None = None
    latency: str | None = None
    removed_params: int
    reached: ReachedFractions
    space: str
    origin: Origin | None = None
    claim: Claim | None = None

    @classmethod
    def find(cls, path: str | Path) -> PatternFile:
        """Read a pattern file, or the one in a search run's folder.

        Raises:
            EvopError: nothing there; or not a pattern file.
        """
        place = inside(path, PATTERN)
        if not place.exists():
            if Path(path).is_dir():
                raise EvopError(f"--pattern {path}: the folder has no pattern.json; has its search finished?")
            raise EvopError(f"--pattern {path}: no such file; expected a pattern.json or a search run's folder")
        return cls.read(place)

    @classmethod
    def describe(
        cls,
        checkpoint: Checkpoint,
        space: PatternSpace,
        pattern: Pattern,
        cut: Cut,
        *,
        remove: Remove,
        cost: str,
        fit_in: tuple[int, Memory] | None = None,
        width_step: int | None = None,
        compensate: Compensate = "none",
        refit: RefitNote | None = None,
        corrections: str | None = None,
        origin: Origin | None = None,
        claim: Claim | None = None,
    ) -> PatternFile:
        """Describe a pattern as its file does.

        Args:
            checkpoint: the model.
            space: the space of the pattern.
            pattern: the pattern, in that space.
            cut: what the pattern takes out of the model.
            remove: the fraction of ``cost`` that was to be removed, or one of each of several costs.
            cost: what a bare fraction counts.
            fit_in: the bytes that the pruned model was to fit in, and how the space counts them.
            width_step: what the widths of thinned MLPs are multiples of; None for the model's default.
            compensate: what stands in for units that leave.
            refit: how last projections were refitted; None where they were not.
            corrections: sha256 of the file of the cut's biases and weights; None where there are none.
            origin: how the pattern was found; None where that is not known.
            claim: what the search says of the pattern; None where none was made.
        """
        return cls(
            model=ModelName.of(checkpoint),
            grain=space.grain,
            deploy=space.deploy,
            protected=sorted(space.protected),
            width_step=width_step,
            remove=remove,
            cost=cost,
            fit=None if fit_in is None else _fit(space, pattern, *fit_in),
            removed=list(space.names(pattern)),
            kept={part_name(*place): to_ranges(units) for place, units in cut.kept.items()},
            compensate=compensate,
            refit=refit,
            corrections=corrections,
            removed_params=space.removed(pattern).params,
            reached=ReachedFractions.of(space.reached(pattern)),
            latency=str(space.origin["latency"]) if "latency" in space.origin else None,
            space=space.fingerprint,
            origin=origin,
            claim=claim,
        )

    @model_serializer(mode="wrap")
    def _measured_alone(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_none(serialise(self), "latency")

    @property
    def words(self) -> list[str]:
        """What leaves, as a person reads it: parts that are gone, then parts with fewer units."""
        return [*self.removed, *(f"{name} (keeps {len(from_ranges(kept))})" for name, kept in self.kept.items())]

    def on(self, checkpoint: Checkpoint) -> tuple[PatternSpace, Pattern]:
        """Bring the pattern onto a model, with its space; the space does not know how much units matter.

        Raises:
            EvopError: the model is not the one the pattern was made for, or names or numbers do not fit.
        """
        if checkpoint.fingerprint != self.model.fingerprint:
            raise EvopError(
                f"the pattern was made for {self.model.name} ({self.model.fingerprint[:12]}), but --model "
                f"{checkpoint.name} is {checkpoint.fingerprint[:12]}: another model or revision; use the same one"
            )
        biased, fit = self.compensate == "bias", self.fit
        space = pattern_space(
            checkpoint, self.grain, self.deploy, self.protected, width_step=self.width_step, compensate=biased
        )
        if fit is not None:
            space = Memory(fit.context, fit.batch, fit.dtype).counted(checkpoint, space)
        if both := sorted(self.kept.keys() & set(self.removed)):
            raise EvopError(f"the pattern has {both[0]} both removed and kept: it was changed by hand; search again")
        pattern = space.pattern(self.removed, {name: self._level(space, name) for name in self.kept})
        if space.removed(pattern).params != self.removed_params:
            raise EvopError(
                f"the pattern says it removes {self.removed_params:,} parameters, but its parts hold "
                f"{space.removed(pattern).params:,}: it was changed by hand or is of another version; search again"
            )
        if not space.legal(pattern):
            raise EvopError(f"the pattern removes {', '.join(self.words)}, which --deploy {self.deploy} does not allow")
        return space, pattern

    @property
    def asked(self) -> dict[str, float]:
        """Cost -> the fraction of the blocks that was asked to leave."""
        return asked_of(self.remove, self.cost)

    def budget(self, space: PatternSpace) -> Budget:
        """Say what was asked, over a space of the pattern's model.

        Raises:
            PatternError: it cannot be met.
        """
        return Budget(space, self.remove, self.cost, None if self.fit is None else self.fit.bytes)

    def cut(self, corrections: Path | None = None) -> Cut:
        """Say what the pattern takes out of its model.

        Args:
            corrections: the file of the pattern's biases and weights, or None where it has none.

        Raises:
            EvopError: the file is missing, or another pattern's.
        """
        alone = self.cut_alone
        if self.corrections is None:
            return alone
        return Cut(alone.gone, alone.kept, *read_corrections(corrections, self.corrections))

    @property
    def cut_alone(self) -> Cut:
        """What the pattern takes out of its model, without what stands in for it."""
        gone = frozenset(place for name in self.removed for place in places_of(name))
        return Cut(gone, {place_of(name): from_ranges(units) for name, units in self.kept.items()})

    def _level(self, space: PatternSpace, name: str) -> int:
        """Find the level of a thinned part by how many of its units stay."""
        part = next((part for part in space.parts if part.name == name), None)
        kept = from_ranges(self.kept[name])
        units = part.units[-1] if part and part.units else 0
        if part is None or not kept or kept[-1] >= units or (gone := units - len(kept)) not in part.units[1:]:
            raise EvopError(
                f"the pattern keeps {len(kept)} units of {name}, which this model's {self.grain} parts cannot do; "
                "use the model it was searched on"
            )
        return part.units.index(gone)


def _fit(space: PatternSpace, pattern: Pattern, limit: int, memory: Memory) -> FitNote:
    """Say what a pattern takes of the bytes it was to fit in."""
    dense = space.model.memory
    reached = dense - space.removed(pattern).memory
    return FitNote(bytes=limit, **vars(memory), dense=dense, reached=reached)
