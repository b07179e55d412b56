"""A metric that was measured, and the log of a search of metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from evop.metrics.metric import Metric
from patterns import Log


@dataclass(frozen=True)
class MetricTrial:
    """One metric that a method asked for.

    Attributes:
        round: number of the method's round that asked for it first, from 0.
        metric: the metric.
        value: what is minimised; infinite where there is none.
        tokens: tokens scored for it; 0 where an earlier metric had removed the same.
        losses: mean loss per group; empty where there is no value.
        alike: the earlier metric that removes the same, or "".
        failed: why there is no value, or "".
    """

    round: int
    metric: Metric
    value: float
    tokens: int
    losses: Mapping[str, float]
    alike: str = ""
    failed: str = ""

    @property
    def measured(self) -> bool:
        """Whether the model was run for it."""
        return self.tokens > 0

    def to_json(self) -> str:
        """Return the trial as one line of the log."""
        value = self.value if math.isfinite(self.value) else None
        row = {"round": self.round, "metric": str(self.metric), "value": value, "tokens": self.tokens}
        more = {"alike": self.alike, "failed": self.failed}
        return json.dumps(row | {"losses": dict(self.losses)} | {k: v for k, v in more.items() if v}, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> MetricTrial:
        """Read a trial from one line of the log, bit for bit."""
        row = json.loads(line)
        value = math.inf if row["value"] is None else row["value"]
        metric = Metric.parse(row["metric"])
        return cls(
            row["round"], metric, value, row["tokens"], row["losses"], row.get("alike", ""), row.get("failed", "")
        )


class MetricLog(Log[MetricTrial]):
    """The log of a search of metrics; its laws are those of a search of patterns."""

    schema = "evop.metric-trials/2"
    row = MetricTrial
