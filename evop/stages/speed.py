"""``evop speed``: a model and pruned checkpoints of it, timed in turns; predicted beside measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evop.errors import EvopError, first_line
from evop.files.json_file import whole
from evop.files.names import LATENCY, PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import DTYPES, choose_device, choose_dtype
from evop.removal.pattern_file import PatternFile
from evop.stages.one_error import one_error
from evop.timing.speed_file import SpeedFile
from evop.timing.table import LatencyTable
from evop.timing.workload import Workload


@one_error
def speed(
    model: str | Path,
    pruned: str | Path | Sequence[str | Path],
    *,
    batch: int | None = None,
    context: int | None = None,
    decode: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
    out: str | Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> SpeedFile:
    """Time a model and what was pruned of it, all in memory, in turns.

    Args:
        model: a Hugging Face folder or hub name: the dense model.
        pruned: folders that ``evop prune`` wrote.
        batch: sequences side by side; None for what the first checkpoint's table was measured with, else 1.
        context: tokens read; None likewise, else 512 or what the model has positions for.
        decode: tokens written; None likewise, else 64.
        device: where to run.
        dtype: what to compute in.
        revision: of a hub model.
        trust_remote_code: whether the dense model may run code of its own.
        out: a JSON file to write, or None.
        report: is given a line a model.

    Raises:
        EvopError: bad input.
    """
    dense = Checkpoint.find(model, revision)
    paths = [Path(path) for path in ([pruned] if isinstance(pruned, str | Path) else pruned)]
    checkpoints = {_name(path, paths): Checkpoint.find(path) for path in paths}
    table = _table(paths[0]) if paths else None
    asked = (batch, context, decode)
    if table is not None:
        asked = (batch or table.batch, context or table.context, decode or table.decode)
    workload = Workload.of(dense.resolved, *asked)
    where = choose_device(device)
    computed = choose_dtype(dtype, where)
    models: dict[str, Any] = {}
    for name, checkpoint in {"dense": dense, **checkpoints}.items():
        report(f"loading {checkpoint.name}")
        models[name] = _loaded(checkpoint, computed, trust_remote_code and name == "dense").to(where)
    report(f"timing in turns: {workload.words}")
    found = SpeedFile.measured(
        models,
        workload,
        computed,
        predicted={},
        bytes={name: each.weight_file_bytes for name, each in {"dense": dense, **checkpoints}.items()},
    )
    predicted = {name: _predicted(each.folder, found) for name, each in checkpoints.items()}
    rows = [row.model_copy(update={"predicted": predicted.get(row.name)}) for row in found.models]
    found = found.model_copy(update={"models": rows})
    if out is not None:
        with whole(Path(out)) as file:
            found.write(file)
    return found


def _name(path: Path, paths: Sequence[Path]) -> str:
    """The folder's name, or the whole path where two are called alike."""
    name = path.resolve().name
    alike = [other for other in paths if other.resolve().name == name]
    return str(path) if len(alike) > 1 or name == "dense" else name


def _table(folder: Path) -> LatencyTable | None:
    return LatencyTable.read(folder / LATENCY) if (folder / LATENCY).is_file() else None


def _predicted(folder: Path, found: SpeedFile) -> float | None:
    """What a checkpoint's table predicted, where it is of this workload, device and dtype."""
    table = _table(folder)
    if table is None or not (folder / PATTERN).is_file():
        return None
    reached = PatternFile.read(folder / PATTERN).reached.latency
    same = ("device", "dtype", "threads", "batch", "context", "decode")
    if reached is None or any(getattr(table, name) != getattr(found, name) for name in same):
        return None
    return 1 - reached


def _loaded(checkpoint: Checkpoint, dtype: str, trust_remote_code: bool) -> Any:
    """The model as transformers loads it; evop's own classes for heterogeneous checkpoints, not the file in them."""
    from transformers import AutoModelForCausalLM

    import evop.hf  # noqa: F401

    try:
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint.folder, dtype=DTYPES[dtype], trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise EvopError(f"{checkpoint.name}: cannot be loaded ({first_line(error)})") from error
    return model.eval().requires_grad_(False)
