"""``speed.json``: how fast models are, one beside the other, what was predicted beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field

from evop.files.json_file import JsonFile, JsonPart
from evop.timing.workload import Workload
from evop.version import __version__


class SpeedRow(JsonPart):
    """Speed of one model: the fields of ``Speed``, and what the table of its search predicted of its time."""

    name: str
    parameters: int
    bytes: int | None = None
    """Bytes of the weight files; None for a model that was never written."""
    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    first_token_seconds: float
    request_seconds: float
    kv_bytes: int
    share: tuple[float, float, float]
    """Request time as a fraction of the first model's, round by round: lower quartile, median, upper quartile."""
    predicted: float | None = None
    """The same fraction as measured parts predict it; None where there is no table for this workload and device."""


class SpeedFile(JsonFile):
    """What was timed, on which device, and how fast each model was; the first model is the dense one."""

    SCHEMA: ClassVar[str] = "evop.speed/2"
    version: str = __version__
    device: str
    dtype: str
    threads: int
    batch: int
    context: int
    decode: int
    pattern: str | None = None
    """Sha256 of the ``pattern.json`` that was timed, where it is a search's answer."""
    models: list[SpeedRow] = Field(min_length=1)

    @classmethod
    def measured(
        cls,
        models: Mapping[str, Any],
        workload: Workload,
        dtype: str,
        *,
        predicted: Mapping[str, float | None],
        bytes: Mapping[str, int] | None = None,
        pattern: str | None = None,
        seconds: float | None = None,
    ) -> Self:
        """Time models that are in memory, in turns.

        Args:
            models: name -> model; the first is the dense one.
            workload: what is timed.
            dtype: name of the dtype they compute in.
            predicted: name -> predicted time as a fraction of the dense model's.
            bytes: name -> bytes of the weight files.
            pattern: sha256 of the pattern file that was timed.
            seconds: no further round begins after so many seconds; None for the default.
        """
        import torch

        from evop.timing.measure import device_name
        from evop.timing.speed import TIMED_SECONDS, measure_speeds

        speeds = measure_speeds(models, workload, TIMED_SECONDS if seconds is None else seconds)
        device = next(next(iter(models.values())).parameters()).device
        rows = [
            SpeedRow(name=name, predicted=predicted.get(name), bytes=(bytes or {}).get(name), **vars(speed))
            for name, speed in speeds.items()
        ]
        threads = torch.get_num_threads() if device.type == "cpu" else 0
        return cls(
            device=device_name(device), dtype=dtype, threads=threads, pattern=pattern, models=rows, **vars(workload)
        )

    @property
    def words(self) -> str:
        """What was timed and where, as a person reads it."""
        return Workload(self.batch, self.context, self.decode).timed_on(self.device, self.dtype, self.threads)
