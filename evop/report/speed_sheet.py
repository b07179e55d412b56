"""The table of measured speed."""

from __future__ import annotations

from collections.abc import Mapping

from evop.report.sheet import Cell, Row, Sheet, estimate, number
from evop.timing.speed_file import SpeedFile, SpeedRow

LEGEND = (
    "time: of the whole request, dense = 1, median over rounds in turns [quartiles]; first token: time of the prefill; "
    "KV cache: after the request"
)


def speed_sheet(speed: SpeedFile, flops: Mapping[str, float] | None = None) -> Sheet:
    """Lay out one line per model: its size, its speed, and the time of the request beside what was expected of it.

    Args:
        speed: the models that were timed, the dense one first.
        flops: name -> fraction of the dense model's FLOPs per token that is left; None to leave it out.
    """
    expected: dict[str, Mapping[str, float | None]] = {}
    if any(model.predicted is not None for model in speed.models):
        expected["time, predicted from its parts"] = {model.name: model.predicted for model in speed.models}
    if flops is not None:
        expected["time, by FLOPs alone"] = flops
    heads = (
        "model", "parameters, M", "weights, MB", "prefill tokens/s", "decode tokens/s", "first token, ms",
        "KV cache, MB", "time, measured", *expected,
    )  # fmt: skip
    rows = [
        Row((*_measured(model), *(number(times.get(model.name), 3) for times in expected.values())))
        for model in speed.models
    ]
    return Sheet(f"speed: {speed.words}", heads, tuple(rows), LEGEND)


def _measured(model: SpeedRow) -> tuple[Cell, ...]:
    low, middle, high = model.share
    return (
        Cell(model.name),
        number(model.parameters / 1e6, 2),
        number(None if model.bytes is None else model.bytes / 1e6, 1),
        number(model.prefill_tokens_per_second, 0),
        number(model.decode_tokens_per_second, 1),
        number(1e3 * model.first_token_seconds, 1),
        number(model.kv_bytes / 1e6, 2),
        estimate(middle, low, high),
    )
