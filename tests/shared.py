"""Corpora and models that lie outside the repository: beside the checkout, or where ``EVOP_SHARED`` says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("EVOP_SHARED") or Path(__file__).resolve().parents[2] / "shared")
"""The folder, which not every machine has."""
CORPORA = SHARED / "data" / "corpora"
MODELS = SHARED / "models"


def shared_folder(folder: Path) -> Path:
    """Take a folder of these that is there; skip the test where it is not."""
    if not folder.is_dir():
        pytest.skip(f"{folder} is not on this machine; EVOP_SHARED names the folder that holds data/ and models/")
    return folder
