"""What is checked of a set that was loaded: checksums fit also where somebody made them fit."""

import io
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from calibration.errors import one_line
from calibration.manifest import Manifest
from calibration.passage import SPLITS, Passage, group_key


def array_of(content: bytes) -> np.ndarray:
    """Read the bytes of an ``.npy`` file of numbers; no more is held in memory than the file is long.

    Raises:
        ValueError: it is none; nothing in it is run.
    """
    try:
        stream = io.BytesIO(content)
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)
        if dtype.kind not in "fiu" or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
            raise ValueError(f"its header says {shape} of {dtype}, which it does not hold")
        return np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # numpy raises what the header makes it raise
        raise ValueError(f"centroids.npy is no array: {one_line(error)}") from error


def refuse_another_set(manifest: Manifest, passages: Sequence[Passage], centroids: np.ndarray) -> None:
    """Check a manifest against the passages and centroids beside it.

    Raises:
        ValueError: it counts other groups or other passages than there are.
    """
    keys = [group_key(entry.domain, entry.cluster) for entry in manifest.groups]
    names = {entry.name for entry in manifest.domains}
    if len(set(keys)) != len(keys) or {entry.domain for entry in manifest.groups} != names:
        raise ValueError("the groups it lists are not those of its domains")
    if any({*entry.passages} != {*SPLITS} or {*entry.tokens} != {*SPLITS} for entry in manifest.groups):
        raise ValueError(f"a group does not count each of {', '.join(SPLITS)}")
    found = Counter((passage.group, passage.split) for passage in passages)
    said = {
        (key, split): count
        for key, entry in zip(keys, manifest.groups, strict=True)
        for split, count in entry.passages.items()
        if count
    }
    differs = next((each for each in sorted({*found, *said}) if found[each] != said.get(each, 0)), None)
    if differs is not None:
        group, split = differs
        raise ValueError(f"{found[differs]} {split} passages of group {group!r}, it counts {said.get(differs, 0)}")
    if centroids.ndim != 2 or len(centroids) != len(keys) or not np.isfinite(centroids).all():
        raise ValueError(
            f"centroids of shape {centroids.shape}, expected one finite row for each of {len(keys)} groups"
        )
