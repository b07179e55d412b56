"""What a search's log tells: how it came to its answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evop.files.names import TRIALS
from evop.losses.table import excess
from patterns import Trial, TrialLog


@dataclass(frozen=True)
class Step:
    """An improvement: the best pattern so far, when it was measured.

    Attributes:
        tokens: tokens that the search had scored by then.
        value: the objective on the whole search sample.
        worst: the worst group there, and its excess.
    """

    tokens: int
    value: float
    worst: tuple[str, float]


@dataclass(frozen=True)
class Trace:
    """The course of a search, as its log has it.

    Attributes:
        log: the log: its header and its trials.
    """

    log: TrialLog

    @classmethod
    def of(cls, folder: Path) -> Trace | None:
        """Open the log of a search run; None where the folder holds none."""
        path = folder / TRIALS
        return cls(TrialLog.open(path)) if path.is_file() else None

    @cached_property
    def steps(self) -> list[Step]:
        """List every improvement, in order."""
        full = max(map(int, self.log.header["dense"]))
        steps: list[Step] = []
        tokens = 0
        for trial in self.log.trials:
            tokens += trial.measurement.tokens
            judged = trial.met and trial.fidelity == full and trial.measurement.whole
            if judged and (not steps or trial.value < steps[-1].value):
                steps.append(Step(tokens, trial.value, self._worst(trial)))
        return steps

    @property
    def tokens(self) -> int:
        """Count the tokens that the trials scored."""
        return sum(trial.measurement.tokens for trial in self.log.trials)

    def _worst(self, trial: Trial) -> tuple[str, float]:
        scale = self.log.header.get("scale_by") or {}
        over = excess(trial.measurement.losses, self.log.header["dense"][str(trial.fidelity)])
        group = max(over, key=lambda group: over[group] / scale.get(group, 1.0))
        return group, over[group]
