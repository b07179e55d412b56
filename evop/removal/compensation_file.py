"""``corrections.safetensors``: the biases that belong to a pattern, beside its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evop.errors import EvopError
from evop.files.json_file import sha256, whole
from evop.files.names import CORRECTIONS
from evop.removal.cut import Cut, Place, part_name, place_of


def write_corrections(cut: Cut, path: Path) -> str:
    """Write the biases of a cut, and return the file's sha256."""
    from safetensors.numpy import save_file

    with whole(path) as temporary:
        save_file({part_name(*place): bias for place, bias in sorted(cut.bias.items())}, temporary)
    return sha256(path)


def read_corrections(path: Path | None, expected: str) -> dict[Place, np.ndarray]:
    """Read the biases that belong to a pattern.

    Raises:
        EvopError: missing, or another pattern's.
    """
    from safetensors.numpy import load_file

    if path is None or not path.is_file():
        raise EvopError(
            f"the pattern has corrections, but {path or CORRECTIONS} is missing; keep it beside pattern.json"
        )
    if sha256(path) != expected:
        raise EvopError(f"{path} belongs to another pattern: its sha256 is not {expected[:12]}…; copy both again")
    return {place_of(name): bias for name, bias in load_file(path).items()}
