"""``evop speed``: from a model and pruned checkpoints of it to their times, predicted beside measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evop.errors import EvopError, first_line
from evop.files.given_file import given_file, refuse_no_file
from evop.files.json_file import paths_of
from evop.files.names import LATENCY, PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import DTYPES, choose_device, choose_dtype
from evop.model.sums import refuse_changed
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
        device: where the models run.
        dtype: what the models compute in.
        revision: branch, tag or commit of a hub model.
        trust_remote_code: whether the dense model may run code of its own.
        out: a JSON file to write, or None.
        report: is given one line per model.

    Raises:
        EvopError: bad input.
    """
    if out is not None:
        _refuse_other_file(Path(out))
    dense = Checkpoint.find(model, revision)
    paths = paths_of(pruned)
    checkpoints = {_name(path, paths): Checkpoint.find(path) for path in paths}
    table = _table(paths[0]) if paths else None
    if table is not None:
        batch, context, decode = batch or table.batch, context or table.context, decode or table.decode
    workload = Workload.of(dense.resolved, batch, context, decode)
    device_chosen = choose_device(device)
    dtype_chosen = choose_dtype(dtype, device_chosen)
    models, together = {}, {"dense": dense, **checkpoints}
    for name, checkpoint in together.items():
        report(f"loading {checkpoint.name}")
        models[name] = _loaded(checkpoint, dtype_chosen, trust_remote_code and name == "dense").to(device_chosen)
    report(f"timing in turns: {workload.words}")
    sizes = {name: checkpoint.weight_file_bytes for name, checkpoint in together.items()}
    timed = SpeedFile.measured(models, workload, dtype_chosen, predicted={}, bytes=sizes)
    timed = _with_predictions(timed, checkpoints)
    if out is not None:
        with given_file("--out", Path(out)) as file:
            timed.write(file)
    return timed


def _refuse_other_file(out: Path) -> None:
    """Check that nothing but another such account gives way to the one that is written.

    Raises:
        EvopError: as ``refuse_no_file``, or something else lies there.
    """
    refuse_no_file("--out", out)
    if out.is_file():
        try:
            SpeedFile.read(out)
        except EvopError as error:
            raise EvopError(f"--out {out} is there already, and no {SpeedFile.SCHEMA}; choose a new name") from error


def _with_predictions(timed: SpeedFile, checkpoints: Mapping[str, Checkpoint]) -> SpeedFile:
    """Put beside each measured time what the checkpoint's table predicted."""
    predicted = {name: _predicted(checkpoint.folder, timed) for name, checkpoint in checkpoints.items()}
    rows = [row.model_copy(update={"predicted": predicted.get(row.name)}) for row in timed.models]
    return timed.model_copy(update={"models": rows})


def _name(path: Path, paths: Sequence[Path]) -> str:
    """Name a checkpoint by its folder, or by its whole path where two folders are called alike."""
    name = path.resolve().name
    alike = [other for other in paths if other.resolve().name == name]
    return str(path) if len(alike) > 1 or name == "dense" else name


def _table(folder: Path) -> LatencyTable | None:
    return LatencyTable.read(folder / LATENCY) if (folder / LATENCY).is_file() else None


def _predicted(folder: Path, timed: SpeedFile) -> float | None:
    """Read what a checkpoint's table predicted: its request time as a fraction of the dense model's.

    None where there is no table of this workload, device and dtype.
    """
    table = _table(folder)
    if table is None or not (folder / PATTERN).is_file():
        return None
    reached = PatternFile.read(folder / PATTERN).reached.latency
    same = ("device", "dtype", "threads", "batch", "context", "decode")
    if reached is None or any(getattr(table, name) != getattr(timed, name) for name in same):
        return None
    return 1 - reached


def _loaded(checkpoint: Checkpoint, dtype: str, trust_remote_code: bool) -> Any:
    """Load a model with transformers; heterogeneous checkpoints with evop's own classes, not with the file in them."""
    from transformers import AutoModelForCausalLM

    import evop.hf  # noqa: F401

    refuse_changed(checkpoint.folder)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint.folder, dtype=DTYPES[dtype], trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise EvopError(f"{checkpoint.name}: cannot be loaded ({first_line(error)})") from error
    return model.eval().requires_grad_(False)
