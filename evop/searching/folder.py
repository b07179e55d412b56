"""A search run's folder: the log that is its state, the timings, the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

from evop.errors import EvopError
from evop.files.json_file import temporary_of
from evop.files.lock import LOCK
from evop.files.machine import Machine
from evop.files.names import (
    LATENCY,
    MACHINES,
    MOMENTS,
    MOMENTS_OF_HALVES,
    ORDERS,
    ORDERS_OF_HALVES,
    POINTS,
    TIMINGS,
    TRIALS,
)
from evop.removal.ranking import Ranking
from evop.timing.table import LatencyTable
from patterns import TrialLog

STORE = "store"
"""The folder in which the budgets of a search by tolerances share what they measured."""


class SearchRun:
    """Reads and writes the folder ``--out`` of a search.

    Args:
        folder: the folder; it need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machines: list[Machine] = []
        """The machines that worked on the search, in their order, when it has begun."""

    @property
    def trials(self) -> Path:
        """The file of the log."""
        return self.folder / TRIALS

    @property
    def ranking(self) -> Path:
        """The file that says which units leave first; a search of whole parts has none."""
        return self.folder / ORDERS

    @property
    def half_rankings(self) -> tuple[Path, ...]:
        """The files that say so for each half of the sample; a search that does not hold out has none."""
        return tuple(self.folder / name for name in ORDERS_OF_HALVES)

    @property
    def moments(self) -> tuple[Path, ...]:
        """The files of what levels are refitted by: of the whole text, and of each half; a search may have none."""
        return tuple(self.folder / name for name in (MOMENTS, *MOMENTS_OF_HALVES))

    @property
    def latency(self) -> Path:
        """The file of the times that the parts take, where the budget counts time."""
        return self.folder / LATENCY

    @cached_property
    def _logged(self) -> TrialLog | None:
        return TrialLog.open(self.trials) if self.trials.is_file() else None

    @property
    def header(self) -> Mapping[str, Any] | None:
        """The header of the log, or None where there is no log yet."""
        return None if self._logged is None else self._logged.header

    def refuse_another(self, identity: Mapping[str, Any]) -> None:
        """Check that the folder is new or holds this search.

        Args:
            identity: what makes a search this search and no other, as far as it is known.

        Raises:
            EvopError: the folder holds another search, or something else.
        """
        if self.header is None:
            # What is written before the log may be there alone: a kill came between.
            present = self.folder.iterdir() if self.folder.is_dir() else []
            written = (self.ranking, *self.half_rankings, *self.moments, self.latency, self.folder / MACHINES)
            unfinished = {self.trials.with_suffix(".tmp"), self.folder / LOCK, *written, *map(temporary_of, written)}
            if any(path not in unfinished for path in present):
                raise EvopError(f"--out {self.folder} is not empty and holds no search; choose a new folder")
            return
        for key, value in identity.items():
            if self.header.get(key) != value:
                raise EvopError(
                    f"--out {self.folder} holds another search: its {key} is {_short(self.header.get(key))}, "
                    f"this one's is {_short(value)}; choose a new folder, or repeat the first command to go on with it"
                )

    def log(
        self,
        identity: Mapping[str, Any],
        derived: Mapping[str, Any],
        rankings: Sequence[Ranking],
        table: LatencyTable | None = None,
    ) -> TrialLog:
        """Open the log, or begin one; ``refuse_another`` has seen the identity before.

        The log comes last: where there is a log, there are the files that it rests on.

        Args:
            identity: what makes a search this search and no other.
            derived: what follows from the identity, written down so that it is measured once.
            rankings: which units leave first; behind it those of each half, where fitness is held out.
            table: the times of the parts; None where the budget counts no time.
        """
        if self._logged is not None:
            if table is not None and not self.latency.is_file():
                table.write(self.latency)
            return self._logged
        self.folder.mkdir(parents=True, exist_ok=True)
        for path, ranking in zip((self.ranking, *self.half_rankings), rankings, strict=False):
            if ranking.importance:
                ranking.save(path)
        if table is not None:
            table.write(self.latency)
        return TrialLog.create(self.trials, {**identity, **derived})

    def add_seconds(self, number: int, patterns: int, seconds: float, at: float) -> None:
        """Append to the timings how long some patterns of a round took together; they are no part of the log.

        Args:
            number: the round.
            patterns: number of patterns.
            seconds: seconds that the patterns took together.
            at: when they were done, in seconds from when this process began to search.
        """
        row = {"round": number, "patterns": patterns, "seconds": round(seconds, 4), "at": round(at, 4)}
        # It decides nothing, so no fault of it ends a search: a full disk is the log's to say.
        if self._timings.exists() and not self._timings.is_file():
            return  # a pipe would be waited for
        with suppress(OSError), self._timings.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def seconds(self) -> float:
        """Add up the seconds of all measurements, of earlier processes and of rounds measured again too."""
        try:
            rows = self._timings.read_bytes().splitlines() if self._timings.is_file() else []
        except OSError:
            return 0.0
        return sum(_seconds(row) for row in rows)

    @property
    def _timings(self) -> Path:
        return self.folder / TIMINGS


def _seconds(row: bytes) -> float:
    try:
        seconds = float(json.loads(row)["seconds"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):  # torn by a kill, or changed
        return 0.0
    return seconds if 0 <= seconds < inf else 0.0


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"


def refuse_another_kind(folder: Path) -> None:
    """Check that a folder is new, or of a search by tolerances.

    Raises:
        EvopError: it holds something else.
    """
    present = {path.name for path in folder.iterdir()} - {LOCK} if folder.is_dir() else set()
    if not (POINTS in present or present <= {STORE, LATENCY}):
        raise EvopError(f"--out {folder} is not empty and holds no search by tolerances; choose a new folder")
