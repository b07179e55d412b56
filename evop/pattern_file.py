"""``pattern.json``: which parts leave, of which model, and what the search claims for it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from evop.checkpoint import Checkpoint
from evop.errors import EvopError
from evop.families.parts import pattern_space
from evop.files import JsonFile, inside
from patterns import Budget, Pattern, PatternSpace, Reached


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelName(_Section):
    """Which model: what the user called it, and what it is."""

    name: str
    revision: str | None
    fingerprint: str

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> ModelName:
        """The name of a checkpoint."""
        return cls(name=checkpoint.name, revision=checkpoint.revision, fingerprint=checkpoint.fingerprint)


class Origin(_Section):
    """How the pattern was found."""

    strategy: str
    objective: str
    seed: int
    evaluations: int
    tokens: int
    stopped: str
    max_tokens: int
    calibration: str
    """Fingerprint of the calibration set."""
    trials_sha256: str


class Claim(_Section):
    """What the search says of its answer: the objective on ``search`` and on ``select``, in nats a token."""

    search: float
    select: float
    worst_group: str
    """The group that pays most on ``select``."""
    select_excess: dict[str, float]


class ReachedFractions(_Section):
    """Removed fractions of block parameters, all parameters, FLOPs a token and KV-cache bytes a token."""

    block_params: float
    params: float
    flops: float
    kv: float

    @classmethod
    def of(cls, reached: Reached) -> ReachedFractions:
        """As written to files: six digits after the point."""
        return cls(**{name: round(value, 6) for name, value in vars(reached).items()})


class PatternFile(JsonFile):
    """A pattern with a person's names for its parts, and where it came from."""

    SCHEMA: ClassVar[str] = "evop.pattern/1"
    model: ModelName
    grain: str
    deploy: str
    protected: list[str]
    remove: float
    cost: str
    removed: list[str]
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
        budget: Budget,
        pattern: Pattern,
        origin: Origin | None = None,
        claim: Claim | None = None,
    ) -> PatternFile:
        """The file of a pattern."""
        space = budget.space
        return cls(
            model=ModelName.of(checkpoint),
            grain=space.grain,
            deploy=space.deploy,
            protected=sorted(space.protected),
            remove=budget.remove,
            cost=budget.cost,
            removed=list(space.names(pattern)),
            removed_params=space.removed(pattern).params,
            reached=ReachedFractions.of(space.reached(pattern)),
            space=space.fingerprint,
            origin=origin,
            claim=claim,
        )

    def on(self, checkpoint: Checkpoint) -> tuple[PatternSpace, Pattern]:
        """The pattern and its space on a model.

        Raises:
            EvopError: the model is not the one the pattern was made for, or names do not fit.
        """
        if checkpoint.fingerprint != self.model.fingerprint:
            raise EvopError(
                f"the pattern was made for {self.model.name} ({self.model.fingerprint[:12]}), but --model "
                f"{checkpoint.name} is {checkpoint.fingerprint[:12]}: another model or revision; use the same one"
            )
        space = pattern_space(checkpoint, self.grain, self.deploy, self.protected)
        if space.fingerprint != self.space:
            raise EvopError(
                f"the pattern's space {self.space[:12]} is not this version's {space.fingerprint[:12]} for the same "
                "model: the parts are counted otherwise; search again"
            )
        pattern = space.pattern(self.removed)
        if not space.legal(pattern):
            raise EvopError(
                f"the pattern removes {', '.join(self.removed)}, which --deploy {self.deploy} does not allow"
            )
        return space, pattern
