"""The profile of measuring: where the time went, and how much of the work was really done."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

STAGES = ("before the layers", "blocks", "head and loss", "dense targets")
"""The stages that measuring a pattern is made of."""


@dataclass
class Profile:
    """Counts seconds and tokens; cheap enough to be always on.

    Attributes:
        exact: whether to wait for the device at the end of every stage. Without it the work of a GPU, which runs beside
            the program, is put down to whichever stage waits for its result.
        seconds: stage -> seconds spent in it.
        tokens: passage tokens that were measured, each pattern's as if it ran alone.
        read: passage tokens that went through the model, each pattern's as if it ran alone.
        padded: tokens that went through the model, padding included, each pattern's as if it ran alone.
        block_tokens: tokens that went through all blocks, in whole models: half a model for half of its blocks.
        cached: block tokens that were looked up instead.
        cache_bytes: bytes of the dense model's streams that are kept.
    """

    exact: bool = False
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    tokens: int = 0
    read: int = 0
    padded: int = 0
    block_tokens: float = 0.0
    cached: float = 0.0
    cache_bytes: int = 0

    def add(self, other: Profile) -> None:
        """Add what another process counted, all but its memory."""
        for stage, seconds in other.seconds.items():
            self.seconds[stage] += seconds
        for name in ("tokens", "read", "padded", "block_tokens", "cached"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def padding(self) -> float:
        """Padding tokens per token that is read."""
        return self.padded / self.read - 1 if self.read else 0.0

    @property
    def memory(self) -> str:
        """A name for what ``peak_mb`` is the memory of."""
        return "the GPU" if torch.cuda.is_initialized() else "this process, everything in it"

    @property
    def peak_mb(self) -> float:
        """The most mebibytes held at any time."""
        if torch.cuda.is_initialized():
            return torch.cuda.max_memory_allocated() / 2**20
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (2**20 if sys.platform == "darwin" else 2**10)

    @property
    def cache_mb(self) -> float:
        """Mebibytes of the dense model's streams that are kept."""
        return self.cache_bytes / 2**20

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Put the time of a ``with`` block down to a stage."""
        begun = time.perf_counter()
        yield
        if self.exact and torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds[stage] += time.perf_counter() - begun
