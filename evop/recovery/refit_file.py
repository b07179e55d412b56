"""``refit.json``: what a refit tried, and what each of it came to on text that it did not learn from."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from evop.files.json_file import JsonFile, JsonPart
from evop.files.machine import Machine
from evop.removal.pattern_facts import ModelName


class Tried(JsonPart):
    """One way to refit, judged on ``select`` and on the anchor that was held out."""

    method: str
    """``none``: as it was pruned."""
    ridge: float
    through: int
    """Last layer that was refitted; -1 for none."""
    value: float
    """The objective over all groups, in nats per token."""
    excess: dict[str, float]
    """Group -> loss beyond the dense model's, in nats per token; ``anchor`` is text of no named domain."""

    @property
    def worst(self) -> float:
        """The largest excess."""
        return max(self.excess.values())


class RefitFile(JsonFile):
    """The account of a refit."""

    SCHEMA: ClassVar[str] = "evop.refit/2"
    version: str
    model: ModelName
    pattern_sha256: str
    """Of the pattern that was refitted."""
    calibration: str
    """Fingerprint of the calibration set."""
    recipe: dict[str, Any]
    tokens: dict[str, int]
    """Domain -> tokens that were learned from."""
    anchor: str
    """Where the anchor came from; empty where there was none."""
    tried: list[Tried]
    """The first is the pattern as it was."""
    chosen: int
    machines: list[Machine] = Field(default_factory=list)
    """The machines that refitted, in their order: versions, device, dtype, threads."""

    @model_validator(mode="after")
    def _one_of_the_tried(self) -> Self:
        if not 0 <= self.chosen < len(self.tried):
            raise ValueError(f"chosen is {self.chosen}, expected one of the {len(self.tried)} that were tried")
        if any(tried.excess.keys() != self.tried[0].excess.keys() for tried in self.tried) or not self.best.excess:
            raise ValueError("what was tried is not of the same groups, or of none")
        return self

    @property
    def best(self) -> Tried:
        """What was chosen."""
        return self.tried[self.chosen]
