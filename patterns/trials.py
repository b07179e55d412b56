"""Measured patterns and the log that is the state of a search."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patterns.errors import PatternError
from patterns.part import Pattern

SCHEMA = "evop.trials/3"


@dataclass(frozen=True)
class Measurement:
    """What measuring one pattern brought.

    Attributes:
        value: what the search minimises; infinity when the measurement failed; the least it can be, where it was cut.
        losses: mean loss a group, in nats a token; empty when the measurement failed, of the groups that were finished
            when it was cut.
        tokens: passage tokens charged for it: those scored, less what earlier trials of the pattern had scored.
        failed: why it failed, or None.
        at_least: whether it was cut, because it was certain not to matter.
    """

    value: float
    losses: Mapping[str, float]
    tokens: int
    failed: str | None = None
    at_least: bool = False

    @property
    def whole(self) -> bool:
        """Whether the value is the pattern's, and a number."""
        return self.failed is None and not self.at_least


@dataclass(frozen=True)
class Trial:
    """One distinct pattern a search measured at one fidelity.

    Attributes:
        round: which round of the strategy asked for it.
        pattern: the pattern.
        met: whether it meets the budget; a greedy search's steps on the way do not, and can not be best.
        fidelity: number of passages it was measured on.
        measurement: what came out.
    """

    round: int
    pattern: Pattern
    met: bool
    fidelity: int
    measurement: Measurement

    @property
    def value(self) -> float:
        """What the search minimises."""
        return self.measurement.value

    def to_json(self) -> str:
        """One line of the log."""
        found = self.measurement
        return json.dumps(
            {
                "round": self.round,
                "levels": list(self.pattern.levels),
                "met": self.met,
                "fidelity": self.fidelity,
                "value": found.value if math.isfinite(found.value) else None,
                "tokens": found.tokens,
                "losses": dict(found.losses),
                **({"failed": found.failed} if found.failed else {}),
                **({"at_least": True} if found.at_least else {}),
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, line: str) -> Trial:
        """Read one line of the log back, bit for bit."""
        row = json.loads(line)
        value = math.inf if row["value"] is None else row["value"]
        found = Measurement(value, row["losses"], row["tokens"], row.get("failed"), row.get("at_least", False))
        return cls(row["round"], Pattern(tuple(row["levels"])), row["met"], row["fidelity"], found)


class TrialLog:
    """``trials.jsonl``: a header, then one trial a line in the order asked, appended as they are measured together.

    It holds only what seed, recipe and data determine, so two runs of one recipe write the same bytes.
    A torn last line (a kill in the middle of a write) is cut off when the log is opened.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], trials: list[Trial]) -> None:
        self.path = path
        self.header = header
        self.trials = trials

    @classmethod
    def create(cls, path: Path, header: Mapping[str, Any]) -> TrialLog:
        """Start a log; the header says what the run is."""
        content = {"schema": SCHEMA, **header}
        temporary = path.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps(content, allow_nan=False) + "\n")
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
        return cls(path, content, [])

    @classmethod
    def open(cls, path: Path) -> TrialLog:
        """Read a log back.

        Raises:
            PatternError: not a log, of an unknown schema, or damaged before its last line.
        """
        lines = path.read_bytes().split(b"\n")
        torn = lines.pop()
        try:
            header = json.loads(lines[0]) if lines else {}
            trials = [Trial.from_json(line.decode()) for line in lines[1:]]
        except (ValueError, KeyError, TypeError) as error:
            raise PatternError(
                f"{path} is damaged before its last line ({error}); move it away and start again"
            ) from error
        if header.get("schema") != SCHEMA:
            raise PatternError(
                f"{path} opens with schema {header.get('schema')!r}, expected {SCHEMA!r}; "
                "it was written by another version, or is no search log"
            )
        if torn:
            with path.open("rb+") as file:
                file.truncate(sum(len(line) + 1 for line in lines))
        return cls(path, header, trials)

    def append(self, trials: list[Trial]) -> None:
        """Write trials to the disk, all or a prefix of them, before they count."""
        if not trials:
            return
        with self.path.open("a") as file:
            file.write("".join(trial.to_json() + "\n" for trial in trials))
            file.flush()
            os.fsync(file.fileno())
        self.trials.extend(trials)
