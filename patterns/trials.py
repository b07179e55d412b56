"""Measured patterns and the log that is the state of a search."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from patterns.errors import PatternError
from patterns.part import Pattern

SCHEMA = "evop.trials/4"


@dataclass(frozen=True)
class Measurement:
    """The result of measuring one pattern.

    Attributes:
        value: the number that the search minimises; infinity where the measurement failed; the least it can be where
            the measurement stopped early.
        losses: mean loss per group, in the unit of what is measured; empty where the measurement failed, and only of
            the groups that were finished where it stopped early.
        tokens: passage tokens charged: those scored, less what earlier trials of the pattern had scored.
        failed: why the measurement failed, or None.
        at_least: whether the measurement stopped early, because the pattern was certain not to matter.
    """

    value: float
    losses: Mapping[str, float]
    tokens: int
    failed: str | None = None
    at_least: bool = False

    @property
    def whole(self) -> bool:
        """Whether the measurement neither failed nor stopped early, so that its value is the pattern's."""
        return self.failed is None and not self.at_least


@dataclass(frozen=True)
class Trial:
    """One pattern measured at one fidelity in a search.

    Attributes:
        round: number of the strategy's round that asked for the pattern, from 0.
        pattern: the pattern measured.
        met: whether the pattern meets the budget; a greedy search's steps on the way do not, and cannot be best.
        fidelity: number of passages the pattern was measured on.
        measurement: the result.
    """

    round: int
    pattern: Pattern
    met: bool
    fidelity: int
    measurement: Measurement

    @property
    def value(self) -> float:
        """The number that the search minimises."""
        return self.measurement.value

    def to_json(self) -> str:
        """Return the trial as one line of the log."""
        measurement = self.measurement
        return json.dumps(
            {
                "round": self.round,
                "levels": list(self.pattern.levels),
                "met": self.met,
                "fidelity": self.fidelity,
                "value": measurement.value if math.isfinite(measurement.value) else None,
                "tokens": measurement.tokens,
                "losses": dict(measurement.losses),
                **({"failed": measurement.failed} if measurement.failed else {}),
                **({"at_least": True} if measurement.at_least else {}),
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, line: str) -> Trial:
        """Read a trial from one line of the log, bit for bit."""
        row = json.loads(line)
        value = math.inf if row["value"] is None else row["value"]
        measurement = Measurement(value, row["losses"], row["tokens"], row.get("failed"), row.get("at_least", False))
        return cls(row["round"], Pattern(tuple(row["levels"])), row["met"], row["fidelity"], measurement)


class Row(Protocol):
    """What a line of a log is made of, and made to."""

    def to_json(self) -> str:
        """Return one line of the log."""

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read one line of the log."""


OneRow = TypeVar("OneRow", bound=Row)


class Log(Generic[OneRow]):
    """The file ``trials.jsonl``: a header, then one trial per line in the order asked, appended batch by batch.

    It holds only what seed, recipe and data determine, so two runs of one recipe write the same bytes.
    A torn last line (a kill in the middle of a write) is cut off when the log is opened.
    """

    schema: ClassVar[str]
    row: ClassVar[type[Any]]

    def __init__(self, path: Path, header: Mapping[str, Any], trials: list[OneRow]) -> None:
        self.path = path
        self.header = header
        self.trials = trials

    @classmethod
    def create(cls, path: Path, header: Mapping[str, Any]) -> Self:
        """Start a log; the header says what the run is."""
        content = {"schema": cls.schema, **header}
        temporary = path.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps(content, allow_nan=False) + "\n")
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
        return cls(path, content, [])

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a log from the disk.

        Raises:
            PatternError: the file is no log, has an unknown schema, or is damaged before its last line.
        """
        lines = path.read_bytes().split(b"\n")
        torn = lines.pop()
        with _undamaged(path):
            header = json.loads(lines[0]) if lines else {}
        schema = header.get("schema") if isinstance(header, dict) else type(header).__name__
        # Before its trials are read: another version calls what a trial holds by other names.
        if schema != cls.schema:
            raise PatternError(
                f"{path} opens with schema {schema!r}, expected {cls.schema!r}: it was written by another version of "
                "evop, or is no search log; search again in a new folder"
            )
        with _undamaged(path):
            trials = [cls.row.from_json(line.decode()) for line in lines[1:]]
        if torn:
            with path.open("rb+") as file:
                file.truncate(sum(len(line) + 1 for line in lines))
        return cls(path, header, trials)

    def append(self, trials: list[OneRow]) -> None:
        """Write trials to the disk before they count; a kill leaves a prefix of them there."""
        if not trials:
            return
        with self.path.open("a") as file:
            file.write("".join(trial.to_json() + "\n" for trial in trials))
            file.flush()
            os.fsync(file.fileno())
        self.trials.extend(trials)


class TrialLog(Log[Trial]):
    """The log of a search of patterns."""

    schema = SCHEMA
    row = Trial


@contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    """Say of lines that cannot be read that their log is damaged.

    Raises:
        PatternError: a line cannot be read.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PatternError(f"{path} is damaged before its last line ({error}); move it away and start again") from error
