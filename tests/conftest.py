"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Before anything imports torch: tiny models are faster on one thread, and on a busy machine by far.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by its name in ``tiny.TINY``; each is built once a session."""
    from tiny import build

    root, made = tmp_path_factory.mktemp("tiny"), {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = build(name, root / name)
        return made[name]

    return folder
