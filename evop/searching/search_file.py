"""``search.json``: the account of a search."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from evop.files.json_file import JsonFile
from evop.removal.pattern_file import ModelName


class Finalist(BaseModel):
    """One of the best distinct patterns, measured again on ``select``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    removed: list[str]
    thinned: dict[str, int]
    """Part -> how many of its units are gone."""
    search: float
    select: float


class SearchFile(JsonFile):
    """``search.json``: why the search stopped, what it cost, who its finalists were."""

    SCHEMA: ClassVar[str] = "evop.search/1"
    version: str
    model: ModelName
    calibration: str
    stopped: str
    completed: bool
    """Whether the answer was completed by the strategy, because nothing measured met the budget yet."""
    evaluations: int
    tokens: dict[str, int]
    cut: dict[str, int]
    """Passages of ``search`` and ``select`` that were longer than ``max_tokens`` and lost their ends."""
    seconds: float
    groups: dict[str, str]
    left_out: dict[str, str]
    finalists: list[Finalist]
    trials_sha256: str
