"""Processes side by side, which do not get in each other's way."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor


def processes(jobs: int) -> ProcessPoolExecutor:
    """Start so many processes, one thread each."""
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=one_thread)


def one_thread() -> None:
    """Processes side by side get in each other's way with more."""
    import torch

    torch.set_num_threads(1)
