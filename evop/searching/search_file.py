"""``search.json``: the account of a search."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from evop.files.json_file import JsonFile, JsonPart
from evop.files.machine import Machine
from evop.removal.pattern_facts import ModelName


class Finalist(BaseModel):
    """One of the best distinct patterns, measured again on ``select``.

    Attributes:
        removed: names of the parts that are gone.
        thinned: part -> number of its units that are gone.
        search: value of the objective on ``search``.
        select: value of the objective on ``select``.
        pooled: value of the objective on both together, by which the answer is chosen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    removed: list[str]
    thinned: dict[str, int]
    search: float
    select: float
    pooled: float


class SampleSize(JsonPart):
    """What random patterns of the budget say of a search sample: the better half of those that were drawn.

    In the unit of the loss, or in excesses of a random pattern where the search is scaled by those.

    Attributes:
        patterns: number of patterns that it is said of.
        error: standard error of a group's mean excess over its documents, root mean square over groups and patterns.
        spread: standard deviation between the groups' true mean excesses; 0 where the noise explains all that is seen.
        passages: passages per group, on average.
        enough: passages per group at which the error would be half the spread; None where the spread is 0.
    """

    patterns: int
    error: float
    spread: float
    passages: float
    enough: int | None


class SearchFile(JsonFile):
    """Says in ``search.json`` why the search stopped, what it cost, who its finalists were.

    Attributes:
        version: version of evop that wrote the file.
        model: the model that was searched.
        calibration: fingerprint of the calibration set.
        stopped: why the search stopped.
        completed: whether the strategy completed the answer, because nothing measured met the budget yet.
        evaluations: number of distinct patterns that were measured.
        tokens: purpose -> tokens scored, as if each pattern ran alone; ``total`` is their sum.
        truncated: split -> number of passages that were truncated to ``max_tokens``.
        seconds: seconds of all measurements.
        sample_size: whether the search sample is large enough; None where that was not measured.
        groups: group key -> label, of the groups in the objective.
        left_out: group key -> why the group is not in the objective.
        finalists: the best distinct patterns, best on ``search`` first.
        machines: the machines that measured, in their order: versions, device, dtype, threads.
        trials_sha256: sha256 of the log that this file answers for.
    """

    SCHEMA: ClassVar[str] = "evop.search/4"
    version: str
    model: ModelName
    calibration: str
    stopped: str
    completed: bool
    evaluations: int
    tokens: dict[str, int]
    truncated: dict[str, int]
    seconds: float
    sample_size: SampleSize | None
    groups: dict[str, str]
    left_out: dict[str, str]
    finalists: list[Finalist]
    machines: list[Machine] = Field(default_factory=list)
    trials_sha256: str

    @field_validator("tokens")
    @classmethod
    def _summed(cls, tokens: dict[str, int]) -> dict[str, int]:
        if "total" not in tokens:
            raise ValueError("total is missing, expected the sum of all purposes under that name")
        return tokens
