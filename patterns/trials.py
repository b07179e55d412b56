"""Measured patterns and the log that is the state of a search."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Generic, Protocol, Self, TypeVar

from patterns.checked_lines import with_checksum, without_checksum
from patterns.errors import PatternError
from patterns.part import Pattern

SCHEMA = "evop.trials/5"


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

    It holds only what seed, recipe and data determine, so two runs of one recipe write the same bytes. Every line has
    a checksum of itself and of all lines before it: one that is changed, doubled or gone is not taken for the state.
    A torn last line (a kill in the middle of a write) is not read, and cut off before the next is written: whoever
    only reads a log writes nothing.
    """

    schema: ClassVar[str]
    row: ClassVar[type[Any]]

    def __init__(self, path: Path, header: Mapping[str, Any], trials: list[OneRow], checksum: str, end: int) -> None:
        self.path = path
        self.header = header
        self.trials = trials
        self._checksum = checksum
        self._end = end

    @classmethod
    def create(cls, path: Path, header: Mapping[str, Any]) -> Self:
        """Start a log; the header says what the run is."""
        content = {"schema": cls.schema, **header}
        line = with_checksum(json.dumps(content, allow_nan=False)) + "\n"
        temporary = path.with_suffix(".tmp")
        try:
            with temporary.open("w") as file:
                file.write(line)
                _sync(file)
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
        _, checksum = without_checksum(line[:-1].encode())
        return cls(path, content, [], checksum, len(line.encode()))

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a log from the disk.

        Raises:
            PatternError: the file is no log, has an unknown schema, or is damaged before its last line.
        """
        lines = path.read_bytes().split(b"\n")
        lines.pop()  # torn, or empty
        # Before anything else: another version calls what it holds by other names, and has other checksums.
        schema = _schema(lines)
        if schema != cls.schema:
            raise PatternError(
                f"{path} opens with schema {schema!r}, expected {cls.schema!r}: it was written by another version of "
                "evop, or is no search log; search again in a new folder"
            )
        with _undamaged(path, 0):
            content, checksum = without_checksum(lines[0])
            header, trials = json.loads(content), []
        for number, line in enumerate(lines[1:], 1):
            with _undamaged(path, number):
                content, checksum = without_checksum(line, checksum)
                trials.append(cls.row.from_json(content.decode()))
        return cls(path, header, trials, checksum, sum(len(line) + 1 for line in lines))

    def append(self, trials: list[OneRow]) -> None:
        """Write trials to the disk before they count; a kill leaves a prefix of them there."""
        if not trials:
            return
        lines, checksum = [], self._checksum
        for trial in trials:
            line = with_checksum(trial.to_json(), checksum)
            _, checksum = without_checksum(line.encode(), checksum)
            lines.append(line)
        content = "".join(f"{line}\n" for line in lines).encode()
        with self.path.open("rb+") as file:
            file.truncate(self._end)
            file.seek(self._end)
            file.write(content)
            _sync(file)
        self.trials.extend(trials)
        self._checksum, self._end = checksum, self._end + len(content)


def _schema(lines: list[bytes]) -> Any:
    """Read the schema of a log from its first line; None where that line cannot be read."""
    try:
        header = json.loads(lines[0])
    except (IndexError, ValueError, RecursionError):
        return None
    return header.get("schema") if isinstance(header, dict) else type(header).__name__


def _sync(file: IO[Any]) -> None:
    """Make sure that what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


class TrialLog(Log[Trial]):
    """The log of a search of patterns."""

    schema = SCHEMA
    row = Trial


@contextmanager
def _undamaged(path: Path, number: int) -> Iterator[None]:
    """Say of a line that cannot be read, or was changed, what of the log is still good.

    Args:
        path: the log.
        number: how many lines stand before this one, all of them good.

    Raises:
        PatternError: the line cannot be read.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        good = (
            f"the {number} before it are good: keep these (head -n {number}) under that name, and the search goes on"
            if number
            else "move the folder away and search again"
        )
        raise PatternError(f"{path}: line {number + 1} is damaged ({error}); {good}") from error
