"""Tasks of lm-evaluation-harness on the dense and the pruned models, their logged samples broken down by cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.reading.harness import INSTALL, task_manager, unknown_task
from evop.auditing.audit_rows import HarnessRow
from evop.auditing.candidates import Candidate
from evop.auditing.harness_rows import Sample, harness_rows
from evop.auditing.itself import held
from evop.errors import EvopError, first_line
from evop.export.draft import drafted
from evop.export.write import Pruning
from evop.model.checkpoint import Checkpoint
from evop.model.held import HeldModel
from evop.model.loaded import SPREAD


@dataclass(frozen=True)
class HarnessTasks:
    """The tasks that are run.

    Attributes:
        names: names of tasks, as lm_eval knows them.
        folder: a folder with task files of one's own; None for those of lm_eval alone.
        column: the column of the documents that names their group; None to cluster them by their words.
        limit: samples per task at most; None for all.
    """

    names: tuple[str, ...]
    folder: Path | None = None
    column: str | None = None
    limit: int | None = None


def refuse_tasks(tasks: HarnessTasks, device: str) -> None:
    """Check, before a model is loaded, that the tasks can be run.

    Raises:
        EvopError: lm_eval is not there, does not know a task, cannot load its documents, or they lack the column of
            groups; or the model is dealt out over devices.
    """
    from importlib.util import find_spec

    if find_spec("lm_eval") is None:
        raise EvopError(f"--lm-eval {INSTALL}")
    if device == SPREAD:
        raise EvopError(f"--lm-eval runs dense and pruned models on one device, not with --device {SPREAD}")
    manager = task_manager(tasks.folder)
    if unknown := unknown_task(tasks.names, manager):
        raise EvopError(f"--lm-eval {unknown}")
    with _one_line(tasks):
        loaded = manager.load(list(tasks.names))["tasks"]
        columns = {name: list(next(iter(task.eval_docs))) for name, task in loaded.items()}
    lacking = next((name for name, known in columns.items() if tasks.column not in (None, *known)), None)
    if lacking is not None:
        raise EvopError(
            f"--lm-eval-groups {tasks.column}: {lacking} has no such column; it has: {', '.join(columns[lacking])}"
        )


@contextmanager
def _one_line(tasks: HarnessTasks) -> Iterator[None]:
    """Turn whatever a task's own code raises into one line."""
    try:
        yield
    except Exception as error:
        raise EvopError(f"--lm-eval {','.join(tasks.names)}: {type(error).__name__}: {first_line(error)}") from error


def audit_tasks(
    dense: HeldModel, candidates: Sequence[Candidate], tasks: HarnessTasks, report: Callable[[str], None]
) -> list[HarnessRow]:
    """Run the dense model, then every candidate, one model in memory at a time.

    A checkpoint runs as itself, a pattern as a checkpoint that is written for it and deleted again.

    Args:
        dense: the dense model; it is let go.
        candidates: the patterns and checkpoints under audit.
        tasks: the tasks that are run.
        report: is told what is being done.

    Returns:
        One row per pattern, task, metric and group: the whole task first, then its groups.

    Raises:
        EvopError: a task that lm_eval cannot run.
    """
    report(f"lm_eval: {', '.join(tasks.names)} on the dense model")
    before = _samples(dense, tasks)
    rows: list[HarnessRow] = []
    for candidate in candidates:
        name = candidate.name
        report(f"lm_eval: {', '.join(tasks.names)} on {name}")
        if candidate.itself is not None:
            after = _samples(held(candidate.itself, dense), tasks)
        else:
            with tempfile.TemporaryDirectory(prefix="evop-") as folder:
                pruning = Pruning.planned(dense.checkpoint, candidate.opened)
                with drafted(Path(folder) / "pruned", pruning.bytes) as draft:
                    pruning.write(draft.folder)
                    draft.publish()
                after = _samples(held(Checkpoint.find(draft.out), dense), tasks)
        rows += [row for task in before for row in harness_rows(name, task, before[task], after[task], tasks.column)]
    return rows


def _samples(held_model: HeldModel, tasks: HarnessTasks) -> dict[str, list[Sample]]:
    """Run the tasks and let the model go: name -> its logged samples, in the order of its documents."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    loaded = held_model.loaded
    model: Any = loaded.model
    with _one_line(tasks):
        results = simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=loaded.tokenizer, batch_size=8),
            tasks=list(tasks.names),
            task_manager=task_manager(tasks.folder),
            limit=tasks.limit,
            log_samples=True,
            bootstrap_iters=0,
        )
    assert results is not None
    del model, loaded
    held_model.let_go()
    return {task: sorted(rows, key=lambda row: row["doc_id"]) for task, rows in results["samples"].items()}
