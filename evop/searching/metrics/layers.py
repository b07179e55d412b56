"""The search that follows the one of a metric, as in OptiShear: what share of the weights of every layer leaves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evop.errors import EvopError
from evop.metrics.methods import LayerMethod, Shares
from evop.metrics.metric import Metric
from evop.removal.cut import Cut
from evop.removal.sparsity import ROUNDING, Sparsity
from evop.searching.metrics.judge import Losses, WeightJudge
from evop.searching.metrics.loop import BARREN_ROUNDS
from evop.tokens.passages import TokenPassages
from patterns import Log, Stop


@dataclass(frozen=True)
class LayerTrial:
    """Shares of layers that were measured.

    Attributes:
        shares: what leaves of every row, one a layer.
        value: what is minimised; infinite where there is none.
        losses: mean loss per group; empty where there is no value.
    """

    shares: Shares
    value: float
    losses: Mapping[str, float]

    def to_json(self) -> str:
        """Return the trial as one line of the log."""
        value = self.value if math.isfinite(self.value) else None
        return json.dumps({"shares": list(self.shares), "value": value, "losses": dict(self.losses)}, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> LayerTrial:
        """Read a trial from one line of the log, bit for bit."""
        row = json.loads(line)
        return cls(tuple(row["shares"]), math.inf if row["value"] is None else row["value"], row["losses"])


class LayerLog(Log[LayerTrial]):
    """The log of a search of shares; its laws are those of a search of patterns."""

    schema = "evop.layer-trials/1"
    row = LayerTrial

    @classmethod
    def of(cls, path: Path, header: Mapping[str, Any]) -> LayerLog:
        """Open the log of a search; another one's, of a metric that is the answer no more, is begun anew."""
        if path.is_file():
            log = cls.open(path)
            if all(log.header.get(key) == value for key, value in header.items()):
                return log
        return cls.create(path, header)


@dataclass
class LayerLoop:
    """Runs one search of shares.

    Attributes:
        method: proposes shares.
        judge: measures them; it knows what was asked of every layer alike.
        metric: the metric by which weights leave.
        passages: the passages that shares are measured on.
        dense: the dense model's mean loss per group there.
        log: takes the trials, and gives back those of before.
        stop: the limits.
        on_trial: is called with every trial, replayed ones included.
        trials: shares -> their trial.
    """

    method: LayerMethod
    judge: WeightJudge
    metric: Metric
    passages: TokenPassages
    dense: Losses
    log: LayerLog
    stop: Stop
    on_trial: Callable[[LayerTrial], None] = lambda trial: None
    trials: dict[Shares, LayerTrial] = field(default_factory=dict)

    def run(self) -> None:
        """Run until a limit is reached.

        Raises:
            EvopError: the log was written by another search.
        """
        logged = iter(list(self.log.trials))
        barren = 0
        while barren < BARREN_ROUNDS:
            before, asked = len(self.trials), self.method.ask()
            for shares in asked:
                if shares in self.trials:
                    continue
                trial = next(logged, None)
                if trial is None:
                    if self.stop.reason(len(self.trials), 0, 0):
                        return
                    trial = self._measured(shares)
                    self.log.append([trial])
                elif trial.shares != shares:
                    raise EvopError(
                        f"{self.log.path} holds other shares than this search would ask for; it belongs to another "
                        "version: delete it, and they are searched again"
                    )
                self.trials[shares] = trial
                self.on_trial(trial)
            barren = 0 if len(self.trials) > before else barren + 1
            self.method.tell({shares: (self.trials[shares].value, abs(self.off(shares))) for shares in asked})

    def off(self, shares: Shares) -> float:
        """Say how much more of all weights leaves than was asked, rows that part into whole weights or not."""
        weights = more = 0.0
        for matrix in self.judge.matrices:
            layer, size = matrix.place[1], matrix.weight.numel()
            weights, more = weights + size, more + size * (shares[layer] - self.judge.sparsity.share(layer))
        return more / weights

    def best(self, number: int) -> list[LayerTrial]:
        """List the best of those that lose as much as was asked or more.

        OptiShear's release does not say which trial of the front is taken.
        """
        enough = [
            trial for trial in self.trials.values() if math.isfinite(trial.value) and self.off(trial.shares) > -ROUNDING
        ]
        return sorted(enough, key=lambda trial: trial.value)[:number]

    def losses(self, trial: LayerTrial, passages: TokenPassages) -> Losses:
        """Measure shares on other passages: the mean loss per group."""
        return self.judge.losses([self._cut(trial.shares)], passages)[0]

    def _cut(self, shares: Shares) -> Cut:
        cut = replace(self.judge, sparsity=Sparsity(shares)).cut(self.metric)
        assert isinstance(cut, Cut), f"{self.metric} ranked these weights before"
        return cut

    def _measured(self, shares: Shares) -> LayerTrial:
        losses = self.judge.losses([self._cut(shares)], self.passages)[0]
        value = self.judge.value(losses, self.dense)
        return LayerTrial(shares, value, losses if math.isfinite(value) else {})
