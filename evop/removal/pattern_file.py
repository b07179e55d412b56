"""``pattern.json``: which parts leave, of which model, what stays of others, and what the search claims for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from evop.errors import EvopError
from evop.files.json_file import JsonFile, JsonPart, inside
from evop.files.names import PATTERN
from evop.model.checkpoint import Checkpoint
from evop.removal.compensation_file import read_corrections
from evop.removal.cut import Cut, from_ranges, part_name, place_of, places_of, to_ranges
from evop.removal.space import pattern_space
from patterns import Pattern, PatternSpace, Reached


class ModelName(JsonPart):
    """Which model: the name its user gave, the revision, and the fingerprint of its weights."""

    name: str
    revision: str | None
    fingerprint: str

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> ModelName:
        """Name a checkpoint."""
        return cls(name=checkpoint.name, revision=checkpoint.revision, fingerprint=checkpoint.fingerprint)


class Origin(JsonPart):
    """How the pattern was found."""

    strategy: str
    objective: str
    tail: float
    loss: str
    scale: str
    importance: str
    importance_over: str
    fitness_on: str
    held_out: list[str]
    """Domains of the calibration set that the search saw nothing of."""
    seed: int
    evaluations: int
    tokens: int
    stopped: str
    max_tokens: int
    calibration: str
    """Fingerprint of the calibration set."""
    trials_sha256: str


class Claim(JsonPart):
    """What the search says of its answer: the objective on ``search``, on ``select``, and on both pooled.

    In the unit of the loss (nats per token, or share of the questions), or in excesses of a random pattern where the
    search was scaled by those; ``excess`` is always in the unit of the loss.
    """

    search: float
    select: float
    pooled: float
    worst_group: str
    """The group that pays most on ``search`` and ``select`` pooled."""
    excess: dict[str, float]
    """Group -> its excess on ``search`` and ``select`` pooled, by their tokens."""


class ReachedFractions(JsonPart):
    """Removed fractions of block parameters, all parameters, FLOPs per token and KV-cache bytes per token.

    ``latency`` is the fraction of the predicted time of the whole model, where the space was measured. A file holds
    these rounded; ``patterns.Reached`` is exact, and its package knows no files.
    """

    block_params: float
    params: float
    flops: float
    kv: float
    latency: float | None = None

    @classmethod
    def of(cls, reached: Reached) -> ReachedFractions:
        """Round to what files hold: six digits after the point."""
        return cls(**{name: round(value, 6) for name, value in vars(reached).items() if value is not None})

    @model_serializer(mode="wrap")
    def _measured_alone(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_none(serialise(self), "latency")


class PatternFile(JsonFile):
    """A pattern with a person's names for its parts, and where it came from; it prunes its model by itself.

    Attributes:
        removed: names of the parts that are gone.
        kept: names of the parts that are thinned -> the units that stay, as ranges: ``"0-5,7"``.
        corrections: sha256 of ``corrections.safetensors`` beside the file, the biases of thinned parts; None for none.
        latency: fingerprint of ``latency.json`` beside the file, the times of the search; None where it had none.
        space: fingerprint of the space that was searched.
    """

    SCHEMA: ClassVar[str] = "evop.pattern/3"
    model: ModelName
    grain: str
    deploy: str
    protected: list[str]
    width_step: int | None = None
    remove: float
    cost: str
    removed: list[str]
    kept: dict[str, str] = Field(default_factory=dict)
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
        if not place.is_file():
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
        remove: float,
        cost: str,
        width_step: int | None = None,
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
            remove: the fraction of ``cost`` that was to be removed.
            cost: what the budget counts.
            width_step: what the widths of thinned MLPs are multiples of; None for the model's default.
            corrections: sha256 of the file of the cut's biases; None where there are none.
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
            removed=list(space.names(pattern)),
            kept={part_name(*place): to_ranges(units) for place, units in cut.kept.items()},
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
        return _without_none(serialise(self), "latency")

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
        compensate = self.corrections is not None
        space = pattern_space(
            checkpoint, self.grain, self.deploy, self.protected, width_step=self.width_step, compensate=compensate
        )
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

    def cut(self, corrections: Path | None = None) -> Cut:
        """Say what the pattern takes out of its model.

        Args:
            corrections: the file of the pattern's biases, or None where it has none.

        Raises:
            EvopError: the biases are missing, or another pattern's.
        """
        gone = frozenset(place for name in self.removed for place in places_of(name))
        kept = {place_of(name): from_ranges(units) for name, units in self.kept.items()}
        return Cut(gone, kept, {} if self.corrections is None else read_corrections(corrections, self.corrections))

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


def _without_none(content: dict[str, Any], key: str) -> dict[str, Any]:
    """Leave a key out of what is written where it has no value."""
    return {name: value for name, value in content.items() if name != key or value is not None}
