"""``metric.json``: a metric that was searched, and what is claimed for it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from evop.errors import EvopError
from evop.files.json_file import JsonFile, JsonPart, inside
from evop.files.names import METRIC
from evop.files.person_text import person_text
from evop.importance import IMPORTANCES
from evop.metrics.metric import Metric
from evop.removal.pattern_facts import ModelName

WRITTEN_OUT = (".txt", ".json")
"""Endings of files that hold a metric: a line, or ``metric.json``."""


class MetricFinalist(JsonPart):
    """One of the best metrics that rank differently, measured again on ``select``.

    Attributes:
        metric: the metric.
        search: value of the objective on ``search``.
        select: value of the objective on ``select``.
        pooled: value of the objective on both together, by which the answer is chosen.
    """

    metric: str
    search: float
    select: float
    pooled: float


class LayerFinalist(JsonPart):
    """One of the best shares of layers, measured again on ``select``.

    Attributes:
        shares: what is zero of every row, one a layer.
        search: value of the objective on ``search``.
        select: value of the objective on ``select``.
        pooled: value of the objective on both together, by which the answer is chosen.
    """

    shares: list[float]
    search: float
    select: float
    pooled: float


class MetricFile(JsonFile):
    """Says which metric a search found, and what the pattern loses that it ranks.

    Attributes:
        version: version of evop that wrote the file.
        model: the model that was searched on.
        calibration: fingerprint of the calibration set.
        metric: the metric; ``evop search --importance`` takes it, or the folder of this file.
        method: how it was searched.
        grain: what left by it.
        deploy: what the pruned model had to be.
        remove: fraction of the decoder's parameters that left; of every row, where weights left one by one.
        sparsity: of weights, what was zero of every row: that fraction, one a layer where those were searched, or N:M;
            else empty.
        objective: what was minimised.
        tail: share of the groups that ``cvar`` averages over.
        loss: what was measured.
        over: how groups were combined.
        seed: seed of the method.
        stopped: why the search stopped.
        asked: number of distinct metrics that the method asked for.
        evaluations: number of those that rank unlike all before, and were measured.
        failed: number of those without a value: not a number somewhere, or a loss that is none.
        tokens: purpose -> tokens scored; ``total`` is their sum.
        finalists: the best, best on ``search`` first.
        layers: the best shares of layers, best on ``search`` first; empty where they were not searched.
        trials_sha256: sha256 of the log that this file answers for.
    """

    SCHEMA: ClassVar[str] = "evop.metric/3"
    version: str
    model: ModelName
    calibration: str
    metric: str
    method: str
    grain: str
    deploy: str
    remove: float
    sparsity: str
    objective: str
    tail: float
    loss: str
    over: str
    seed: int
    stopped: str
    asked: int
    evaluations: int
    failed: int
    tokens: dict[str, int]
    finalists: list[MetricFinalist]
    layers: list[LayerFinalist]
    trials_sha256: str


def metric_named(asked: str) -> str:
    """Find the metric that a person means: a name, the folder of ``evop metric``, a file, or the metric itself.

    Returns:
        The name, or the metric written out in one way.

    Raises:
        EvopError: a file that holds no metric, or a folder without one.
    """
    if asked in IMPORTANCES or (asked.isidentifier() and not _is_there(asked)):
        return asked
    if _is_there(asked) or asked.endswith(WRITTEN_OUT):
        place = inside(asked, METRIC)
        if place.suffix != ".txt":
            return MetricFile.read(place).metric
        try:
            asked = person_text(place).strip()
        except OSError as error:
            raise EvopError(f"--importance {place}: cannot be read ({error}); expected one line, a metric") from error
    return str(Metric.parse(asked))


def _is_there(place: str) -> bool:
    """Tell whether a file or a folder has this name; a metric may be longer than a name can be."""
    try:
        return Path(place).exists()
    except (OSError, ValueError):
        return False
