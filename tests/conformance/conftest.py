"""What the conformance tests share: every tiny model, saved once a session."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import build


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny models are faster on one thread, and do not fight over the cores of a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by its name."""
    root, made = tmp_path_factory.mktemp("tiny"), {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = build(name, root / name)
        return made[name]

    return folder
