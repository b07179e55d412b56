"""``heal.json``: how a checkpoint was healed, and how every group came back; it lies beside ``pattern.json``."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from evop.errors import EvopError
from evop.files.json_file import JsonFile, JsonPart, sha256
from evop.files.machine import Machine
from evop.files.names import HEAL, PATTERN
from evop.removal.pattern_facts import ModelName


class HealPoint(JsonPart):
    """One look at all groups on the way.

    ``excess`` is in nats per token on ``select``, by group; ``weights`` are the groups' shares of what was learned
    from, together 1.
    """

    tokens: int
    """Tokens that were learned from by then."""
    loss: float | None
    """The loss that is learned by, in the mean since the point before; None where nothing was learned yet."""
    excess: dict[str, float]
    weights: dict[str, float]


class HealFile(JsonFile):
    """How a checkpoint was healed.

    Attributes:
        version: the version of evop.
        model: the dense model, which it learned from.
        pattern_sha256: sha256 of the ``pattern.json`` beside the file.
        calibration: fingerprint of the calibration set: its split ``train`` was learned from, ``select`` looked at.
        recipe: what was asked for.
        tokens: tokens that were learned from, over all steps.
        stopped: why it ended.
        best_at: tokens of the point whose weights were kept.
        curve: the points on the way, from 0 tokens on.
        machines: the machines that healed, in their order: versions, device, dtype, threads.
    """

    SCHEMA: ClassVar[str] = "evop.heal/2"
    version: str
    model: ModelName
    pattern_sha256: str
    calibration: str
    recipe: dict[str, Any]
    tokens: int
    stopped: str
    best_at: int
    curve: list[HealPoint] = Field(min_length=1)
    machines: list[Machine] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_curve(self) -> Self:
        if any(before.tokens >= after.tokens for before, after in pairwise(self.curve)):
            raise ValueError("the tokens of the curve do not ascend")
        if self.best_at not in {point.tokens for point in self.curve}:
            raise ValueError(f"best_at {self.best_at} is no point of the curve")
        if any(point.excess.keys() != self.curve[0].excess.keys() for point in self.curve):
            raise ValueError("the points of the curve are not of the same groups")
        return self

    @property
    def best(self) -> HealPoint:
        """The point whose weights were kept."""
        return next(point for point in self.curve if point.tokens == self.best_at)

    @classmethod
    def of(cls, checkpoint: Path) -> HealFile | None:
        """Read the file of a checkpoint; None where it was not healed.

        Raises:
            EvopError: the file cannot be read, or is of another checkpoint.
        """
        path = checkpoint / HEAL
        if not path.is_file():
            return None
        file = cls.read(path)
        if file.pattern_sha256 != sha256(checkpoint / PATTERN):
            raise EvopError(
                f"{path} was written for a {PATTERN} of sha256 {file.pattern_sha256[:12]}…, and another lies beside "
                "it; copy the whole checkpoint again"
            )
        return file
