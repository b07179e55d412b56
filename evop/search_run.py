"""A search run's folder: the log that is its state, the timings, the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from evop.errors import EvopError
from evop.files import JsonFile
from evop.pattern_file import ModelName
from patterns import TrialLog

DERIVED = ("schema", "dense")
"""Header entries that follow from the others and need not be compared."""


class Finalist(BaseModel):
    """One of the best distinct patterns, measured again on ``select``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    removed: list[str]
    search: float
    select: float


class SearchFile(JsonFile):
    """``search.json``: why the search stopped, what it cost, who its finalists were."""

    SCHEMA: ClassVar[str] = "evop.search/1"
    version: str
    model: ModelName
    calibration: str
    stopped: str
    evaluations: int
    tokens: dict[str, int]
    seconds: float
    groups: dict[str, str]
    left_out: dict[str, str]
    finalists: list[Finalist]
    trials_sha256: str


class SearchRun:
    """The folder ``--out`` of a search."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def trials(self) -> Path:
        """The log."""
        return self.folder / "trials.jsonl"

    def logged_header(self) -> dict[str, Any] | None:
        """The header of a log already there, or None."""
        return dict(TrialLog.open(self.trials).header) if self.trials.is_file() else None

    def log(self, header: Mapping[str, Any]) -> TrialLog:
        """Open the log that is there or start one.

        Raises:
            EvopError: the folder holds another search, or something else.
        """
        if not self.trials.is_file():
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise EvopError(f"--out {self.folder} is not empty and holds no search; choose a new folder")
            self.folder.mkdir(parents=True, exist_ok=True)
            return TrialLog.create(self.trials, header)
        log = TrialLog.open(self.trials)
        for key, value in header.items():
            if key not in DERIVED and log.header.get(key) != value:
                raise EvopError(
                    f"--out {self.folder} holds another search: its {key} is {_short(log.header.get(key))}, this one's "
                    f"is {_short(value)}; choose a new folder, or repeat the first command to go on with that search"
                )
        return log

    def add_seconds(self, trials: list[int], seconds: list[float]) -> None:
        """Append to the timings, which are no part of the log."""
        with (self.folder / "timings.jsonl").open("a") as file:
            for trial, took in zip(trials, seconds, strict=True):
                file.write(json.dumps({"trial": trial, "seconds": round(took, 4)}) + "\n")

    def seconds(self) -> float:
        """Seconds of all measurements, earlier processes' included."""
        path = self.folder / "timings.jsonl"
        if not path.is_file():
            return 0.0
        rows = path.read_text().split("\n")[:-1]
        return sum(json.loads(row)["seconds"] for row in rows)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"
