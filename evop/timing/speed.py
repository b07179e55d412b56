"""How fast a model is: prefill and decode, timed in turns with the models it is compared to."""

from __future__ import annotations

import gc
import inspect
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from evop.timing.workload import STEPS, WARM_STEPS, Workload

ROUNDS = (3, 25)
"""Rounds at least and at most; in between, the clock decides."""
TIMED_SECONDS = 60.0
"""No further round begins after so many seconds."""


@dataclass(frozen=True)
class Times:
    """Seconds that a model took, round by round.

    Attributes:
        prefill: seconds of reading the context, float64 [rounds].
        decode: seconds of writing one token of each sequence after it, float64 [rounds].
        kv_bytes: bytes of the cache after the context.
    """

    prefill: np.ndarray
    decode: np.ndarray
    kv_bytes: int

    def request(self, workload: Workload) -> np.ndarray:
        """Add up the seconds of the whole request, float64 [rounds]."""
        return self.prefill + workload.decode * self.decode


@dataclass(frozen=True)
class Speed:
    """How fast a model answers a workload; times are medians over rounds.

    Attributes:
        parameters: number of parameters; an output head tied to the embeddings is counted once.
        prefill_tokens_per_second: tokens read per second, all sequences together.
        decode_tokens_per_second: tokens written per second, all sequences together.
        first_token_seconds: seconds from the context to the first token.
        request_seconds: seconds of the whole workload.
        kv_bytes: bytes of the cache after the context, all sequences together.
        share: request time as a fraction of the first model's in the same round: lower quartile, median, upper.
    """

    parameters: int
    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    first_token_seconds: float
    request_seconds: float
    kv_bytes: int
    share: tuple[float, float, float] = (1.0, 1.0, 1.0)


def measure_speeds(models: Mapping[str, Any], workload: Workload, seconds: float = TIMED_SECONDS) -> dict[str, Speed]:
    """Measure how fast models in memory are, in turns, so that what else the machine does falls on all of them.

    Args:
        models: name -> a causal language model in evaluation mode; the first is the one shares are taken of.
        workload: what is timed.
        seconds: no further round begins after so many seconds.
    """
    taken = time_in_turns({name: partial(_same, model) for name, model in models.items()}, workload, seconds)
    first = next(iter(taken.values())).request(workload)
    speeds = {}
    for name, times in taken.items():
        low, middle, high = np.quantile(times.request(workload) / first, (0.25, 0.5, 0.75)).tolist()
        prefill, decode = float(np.median(times.prefill)), float(np.median(times.decode))
        speeds[name] = Speed(
            parameters=models[name].num_parameters(),
            prefill_tokens_per_second=workload.batch * workload.context / prefill,
            decode_tokens_per_second=workload.batch / decode,
            first_token_seconds=prefill,
            request_seconds=workload.total(prefill, decode),
            kv_bytes=times.kv_bytes,
            share=(low, middle, high),
        )
    return speeds


def _same(model: Any) -> Any:
    return model


def time_in_turns(
    models: Mapping[str, Callable[[], Any]], workload: Workload, seconds: float = TIMED_SECONDS
) -> dict[str, Times]:
    """Time every model once per round, in an order that turns by one from round to round.

    Args:
        models: name -> makes the model, once per round: anew where not all models fit in memory.
        workload: what is timed.
        seconds: no further round begins after so many seconds.
    """
    rounds: dict[str, list[tuple[float, float, int]]] = {name: [] for name in models}
    names, begun = list(models), time.perf_counter()
    least, most = ROUNDS
    for number in range(most):
        if number >= least and time.perf_counter() - begun > seconds:
            break
        turned = number % len(names)
        for name in [*names[turned:], *names[:turned]]:
            model = models[name]()
            with _undisturbed():
                rounds[name].append(_one_round(model, workload))
            del model  # before the next is made
    return {
        name: Times(np.array([row[0] for row in rows]), np.array([row[1] for row in rows]), rows[-1][2])
        for name, rows in rounds.items()
    }


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Collect garbage now and not while something is timed."""
    on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _one_round(model: Any, workload: Workload) -> tuple[float, float, int]:
    """Time a warmed model: seconds of the prefill and of a decoded token, and bytes in the cache."""
    device = next(model.parameters()).device
    rows = model.get_input_embeddings().weight.shape[0]
    drawn = torch.Generator().manual_seed(0)
    ids = torch.randint(rows, (workload.batch, workload.context), generator=drawn).to(device)
    last_only = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
    clock = _Clock(device)

    def step(cache: Any) -> tuple[float, Any]:
        return clock(lambda: model(input_ids=ids[:, :1], past_key_values=cache, use_cache=True).past_key_values)

    with torch.inference_mode():
        for warm in (True, False):  # the first time fills caches, and finds kernels and memory
            prefill, cache = clock(lambda: model(input_ids=ids, use_cache=True, **last_only).past_key_values)
            held, steps = cache_bytes(cache), []
            for _ in range(WARM_STEPS if warm else min(STEPS, workload.decode) + 1):
                seconds, cache = step(cache)
                steps.append(seconds)
    # The first token after a prefill is left out, as one more that warms up.
    return prefill, statistics.median(steps[1:]), held


def cache_bytes(cache: Any) -> int:
    """Count the bytes of keys and values in a cache of transformers."""
    held = (tensor for layer in cache.layers for tensor in (layer.keys, layer.values) if tensor is not None)
    return sum(tensor.numel() * tensor.element_size() for tensor in held)


@dataclass(frozen=True)
class _Clock:
    """Measures the seconds that a call takes on a device, without what the device had still to do before."""

    device: torch.device

    def __call__(self, run: Callable[[], Any]) -> tuple[float, Any]:
        self._wait()
        begun = time.perf_counter()
        result = run()
        self._wait()
        return time.perf_counter() - begun, result

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()
