"""``pattern.json``: which parts leave, of which model, what stays of others, and what the search claims for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from evop.errors import EvopError
from evop.files.json_file import JsonFile, JsonPart, inside
from evop.model.checkpoint import Checkpoint
from evop.removal.compensation_file import read_corrections
from evop.removal.cut import Cut, Place, from_ranges, place_of, to_ranges
from evop.removal.space import pattern_space
from patterns import Pattern, PatternSpace, Reached


class ModelName(JsonPart):
    """Which model: what the user called it, and what it is."""

    name: str
    revision: str | None
    fingerprint: str

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> ModelName:
        """The name of a checkpoint."""
        return cls(name=checkpoint.name, revision=checkpoint.revision, fingerprint=checkpoint.fingerprint)


class Origin(JsonPart):
    """How the pattern was found."""

    strategy: str
    objective: str
    loss: str
    scale: str
    importance: str
    importance_over: str
    seed: int
    evaluations: int
    tokens: int
    stopped: str
    max_tokens: int
    calibration: str
    """Fingerprint of the calibration set."""
    trials_sha256: str


class Claim(JsonPart):
    """What the search says of its answer: the objective on ``search`` and on ``select``.

    In nats a token, or in excesses of a random pattern where the search was scaled by those; ``select_excess`` is
    always in nats a token.
    """

    search: float
    select: float
    worst_group: str
    """The group that pays most on ``select``."""
    select_excess: dict[str, float]


class ReachedFractions(JsonPart):
    """Removed fractions of block parameters, all parameters, FLOPs a token and KV-cache bytes a token.

    ``latency`` is that of the time predicted of the whole model, where the space was measured.
    """

    block_params: float
    params: float
    flops: float
    kv: float
    latency: float | None = None

    @classmethod
    def of(cls, reached: Reached) -> ReachedFractions:
        """As written to files: six digits after the point."""
        return cls(**{name: round(value, 6) for name, value in vars(reached).items() if value is not None})

    @model_serializer(mode="wrap")
    def _measured_alone(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_none(serialise(self), "latency")


class PatternFile(JsonFile):
    """A pattern with a person's names for its parts, and where it came from; it prunes its model by itself.

    Attributes:
        removed: names of parts that are gone.
        kept: names of parts that are thinned -> the units that stay, as ranges: ``"0-5,7"``.
        corrections: sha256 of ``corrections.safetensors`` beside it: the biases of thinned parts; None for none.
        latency: fingerprint of ``latency.json`` beside it, the times it was searched by; None where none were.
        space: fingerprint of the space it was searched in.
    """

    SCHEMA: ClassVar[str] = "evop.pattern/2"
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
        place = inside(path, "pattern.json")
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
        **more: Any,
    ) -> PatternFile:
        """The file of a pattern; ``more`` are the fields that space and cut do not tell."""
        return cls(
            model=ModelName.of(checkpoint),
            grain=space.grain,
            deploy=space.deploy,
            protected=sorted(space.protected),
            removed=list(space.names(pattern)),
            kept={f"layers.{layer}.{kind}": to_ranges(units) for (kind, layer), units in cut.kept.items()},
            removed_params=space.removed(pattern).params,
            reached=ReachedFractions.of(space.reached(pattern)),
            latency=str(space.origin["latency"]) if "latency" in space.origin else None,
            space=space.fingerprint,
            **more,
        )

    @model_serializer(mode="wrap")
    def _measured_alone(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_none(serialise(self), "latency")

    @property
    def words(self) -> list[str]:
        """What leaves, as a person reads it: parts that are gone, then parts with fewer units."""
        return [*self.removed, *(f"{name} (keeps {len(from_ranges(kept))})" for name, kept in self.kept.items())]

    def on(self, checkpoint: Checkpoint) -> tuple[PatternSpace, Pattern]:
        """The pattern on a model, and its space with nothing known of what units matter.

        Raises:
            EvopError: the model is not the one the pattern was made for, or names or numbers do not fit.
        """
        if checkpoint.fingerprint != self.model.fingerprint:
            raise EvopError(
                f"the pattern was made for {self.model.name} ({self.model.fingerprint[:12]}), but --model "
                f"{checkpoint.name} is {checkpoint.fingerprint[:12]}: another model or revision; use the same one"
            )
        space = pattern_space(
            checkpoint,
            self.grain,
            self.deploy,
            self.protected,
            width_step=self.width_step,
            compensate=self.corrections is not None,
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
        """What the pattern takes out of its model.

        Args:
            corrections: the file of its biases, or None where it has none.

        Raises:
            EvopError: the biases are missing, or another pattern's.
        """
        gone = frozenset(place for name in self.removed for place in _blocks(name))
        kept = {place_of(name): from_ranges(units) for name, units in self.kept.items()}
        return Cut(gone, kept, {} if self.corrections is None else read_corrections(corrections, self.corrections))

    def _level(self, space: PatternSpace, name: str) -> int:
        """The level of a thinned part, by how many of its units stay."""
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
    """What a file says of a pattern; of time, only where it was measured."""
    return {name: value for name, value in content.items() if name != key or value is not None}


def _blocks(name: str) -> tuple[Place, ...]:
    """The blocks a part's name means; a whole layer is two."""
    return (place_of(name),) if name.count(".") == 2 else (place_of(f"{name}.attn"), place_of(f"{name}.mlp"))
