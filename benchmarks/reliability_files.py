"""Files that were torn or changed: what their readers make of them; the second table of ``reliability.py``."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from calibration import CalibrationSet
from calibration.errors import CalibrationError
from evop.auditing.audit_file import AuditFile
from evop.errors import EvopError
from evop.model.sums import refuse_changed
from evop.reference import model_dir
from evop.removal.pattern_file import PatternFile
from evop.searching.search_file import SearchFile
from evop.stages.audit import audit
from evop.stages.prune import prune
from patterns import PatternError, TrialLog

REFUSED = (EvopError, CalibrationError, PatternError, OSError)
"""What the command line says on one line."""
OUTCOMES = ("detected", "same", "shorter", "another", "traceback")
AUDITING = {"max_tokens": 32, "device": "cpu", "dtype": "float32", "speed": False, "needs": False}


def damaged(home: Path, found: Path, given: Path, flips: int, chance: random.Random) -> Iterator[dict[str, object]]:
    """Tear and change files of every kind; yields rows of a table.

    Args:
        home: an empty folder to audit and prune in.
        found: a search of the embedded model; it is as it was in the end.
        given: the calibration set that it searched on; the same holds for it.
        flips: bits to turn in each file, and bytes to tear off the end of each at most.
        chance: says which.
    """
    audit(model_dir(), given, found, home / "audit", random_patterns=0, **AUDITING)
    prune(model_dir(), found, home / "pruned", parity=False)
    readers: dict[Path, Callable[[], object]] = {
        given / "manifest.json": lambda: CalibrationSet.load(given).manifest,
        given / "passages.parquet": lambda: CalibrationSet.load(given).passages,
        given / "centroids.npy": lambda: CalibrationSet.load(given).centroids.tobytes(),
        found / "trials.jsonl": lambda: TrialLog.open(found / "trials.jsonl").trials,
        found / "pattern.json": lambda: PatternFile.read(found / "pattern.json"),
        found / "search.json": lambda: SearchFile.read(found / "search.json"),
        home / "audit" / "audit.json": lambda: AuditFile.read(home / "audit" / "audit.json"),
        home / "pruned" / "model.safetensors": lambda: refuse_changed(home / "pruned"),
        home / "pruned" / "config.json": lambda: refuse_changed(home / "pruned"),
    }
    for path, read in readers.items():
        content, wanted = path.read_bytes(), read()
        begins = content.rstrip(b"\n").rfind(b"\n") + 1
        torn = [content[:end] for end in range(max(begins, len(content) - flips), len(content))]
        places = (chance.randrange(len(content)) for _ in range(flips))
        flipped = (content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :] for at in places)
        row: dict[str, object] = {"file": path.name}
        for how, changed in (("torn", torn), ("changed", flipped)):
            counts = Counter(outcome(path, each, read, wanted) for each in changed)
            row |= {f"{how} {word}": counts[word] for word in OUTCOMES}
        path.write_bytes(content)
        yield row


def table(frame: pd.DataFrame) -> str:
    """What came of it, a row a file."""
    lines = ["| file | " + " | ".join(f"{how}: {word}" for how in ("torn", "changed") for word in OUTCOMES) + " |"]
    lines.append("|---|" + "--:|" * 2 * len(OUTCOMES))
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def outcome(path: Path, content: bytes, read: Callable[[], object], wanted: object) -> str:
    """Read a damaged file: what comes of it."""
    path.write_bytes(content)
    try:
        found = read()
    except REFUSED:
        return "detected"
    except Exception:
        return "traceback"
    if found == wanted:
        return "same" if path.name not in ("model.safetensors", "config.json") else "another"
    is_log = isinstance(found, list) and isinstance(wanted, list) and path.suffix == ".jsonl"
    return "shorter" if is_log and found == wanted[: len(found)] else "another"
