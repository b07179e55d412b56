"""What a pattern file says beside its parts: of which model, where it came from, what was claimed and refitted."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from evop.files.json_file import JsonPart
from evop.files.machine import Machine
from evop.model.checkpoint import Checkpoint
from patterns import Reached

Compensate = Literal["none", "bias", "obs"]
"""What stands in for units that leave: nothing, a bias, or least-squares weights of what stays."""


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
    """What counts as one in a group: ``none`` for the loss itself, ``random``, or ``tolerance``."""
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
    machine: Machine | None = None
    """The machine that the search began on."""
    tolerate: list[str] | None = None
    """What a group may lose, in the words of ``--tolerate``; only written where that was said."""

    @model_serializer(mode="wrap")
    def _tolerated_alone(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_none(serialise(self), "tolerate")


class Claim(JsonPart):
    """What the search says of its answer: the objective on ``search``, on ``select``, and on both pooled.

    In the unit of the loss (nats per token, or share of the questions), or in excesses of a random pattern or in
    tolerances where the search was scaled by those; ``excess`` is always in the unit of the loss.
    """

    search: float
    select: float
    pooled: float
    worst_group: str
    """The group that pays most on ``search`` and ``select`` pooled."""
    excess: dict[str, float]
    """Group -> its excess on ``search`` and ``select`` pooled, by their tokens."""

    @model_validator(mode="after")
    def _worst_of_these(self) -> Self:
        if self.worst_group not in self.excess:
            raise ValueError(f"worst_group is {self.worst_group[:60]!r}, expected a group of excess")
        return self


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
    of_blocks: dict[str, float] = Field(default_factory=dict)
    """Cost -> its removed fraction of the decoder blocks, which is what budgets ask for."""

    @classmethod
    def of(cls, reached: Reached) -> ReachedFractions:
        """Round to what files hold: six digits after the point."""
        whole = {name: value for name, value in vars(reached).items() if isinstance(value, float)}
        of_blocks = {cost: round(value, 6) for cost, value in reached.of_blocks.items()}
        return cls(**{name: round(value, 6) for name, value in whole.items()}, of_blocks=of_blocks)

    @model_serializer(mode="wrap")
    def _measured_alone(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_none(serialise(self), "latency")


class FitNote(JsonPart):
    """The bytes that weights and cache may take, what they take in the dense model and in the pruned one."""

    bytes: int = Field(gt=0)
    context: int = Field(ge=1)
    """Tokens of each sequence in the cache."""
    batch: int = Field(ge=1)
    dtype: Literal["float32", "bfloat16", "float16"]
    dense: int
    reached: int

    @property
    def asked(self) -> tuple[int, int, int, str]:
        """What was asked: the limit, and how bytes are counted."""
        return self.bytes, self.context, self.batch, self.dtype

    @property
    def words(self) -> str:
        """What is counted, as a person reads it."""
        return f"weights and cache of {self.context:,} tokens, batch {self.batch}, in {self.dtype}"


class RefitNote(JsonPart):
    """How the weights that belong to a pattern were refitted: the last projections of blocks that stay, or all of them.

    ``ridge`` is in mean diagonal entries of what is solved; ``through`` is the last layer that was refitted. By method
    ``darwin`` they were trained as the pattern was searched; nothing was solved, and the ridge is 0.
    """

    method: str
    ridge: float
    through: int
    calibration: str
    """Fingerprint of the calibration set whose split ``train`` was read."""
    tokens: int
    """Tokens that were read."""
    anchor: float
    """Share of them that is of no named domain."""


def without_none(content: dict[str, Any], key: str) -> dict[str, Any]:
    """Leave a key out of what is written where it has no value."""
    return {name: value for name, value in content.items() if name != key or value is not None}
