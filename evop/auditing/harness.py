"""Tasks of lm-evaluation-harness on the dense and the pruned models, their logged samples broken down by cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration import EMBEDDERS, Group, Passage
from calibration.clustering.cluster import cluster_domain, given_clusters
from calibration.clustering.names import names_of
from calibration.reading.harness import INSTALL, task_manager, unknown_task
from evop.auditing.audit_file import HarnessRow
from evop.auditing.table import LEVEL, RESAMPLES
from evop.errors import EvopError, first_line
from evop.export.draft import drafted
from evop.export.write import Pruning
from evop.losses.significance import mcnemar, worse
from evop.model.loaded import DTYPES, SPREAD, LoadedModel
from evop.removal.opened import OpenedPattern

SEED = 0
ALL = "all"
"""The group of every sample of a task."""


@dataclass(frozen=True)
class HarnessTasks:
    """What is run.

    Attributes:
        names: of tasks, as lm_eval knows them.
        folder: with task files of one's own; None for those of lm_eval alone.
        column: of the documents that names their group; None to cluster them by their words.
        limit: samples of a task at most; None for all.
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
    lacking = next((name for name, found in columns.items() if tasks.column not in (None, *found)), None)
    if lacking is not None:
        raise EvopError(
            f"--lm-eval-groups {tasks.column}: {lacking} has no such column; it has: {', '.join(columns[lacking])}"
        )


@contextmanager
def _one_line(tasks: HarnessTasks) -> Iterator[None]:
    """Whatever a task's own code raises."""
    try:
        yield
    except Exception as error:
        raise EvopError(f"--lm-eval {','.join(tasks.names)}: {type(error).__name__}: {first_line(error)}") from error


def audit_tasks(
    loaded: LoadedModel, patterns: Mapping[str, OpenedPattern], tasks: HarnessTasks, report: Callable[[str], None]
) -> list[HarnessRow]:
    """Run the dense model and every pattern, as a checkpoint that is written for it and deleted again.

    Args:
        loaded: the dense model.
        patterns: name -> pattern.
        tasks: what is run.
        report: is told what is being done.

    Returns:
        A row a pattern, task, metric and group: the whole task first, then its groups.

    Raises:
        EvopError: a task that lm_eval cannot run.
    """
    from transformers import AutoModelForCausalLM

    import evop.hf  # noqa: F401

    report(f"lm_eval: {', '.join(tasks.names)} on the dense model")
    dense = _samples(loaded.model, loaded, tasks)
    rows: list[HarnessRow] = []
    for name, opened in patterns.items():
        report(f"lm_eval: {', '.join(tasks.names)} on {name}")
        with tempfile.TemporaryDirectory(prefix="evop-") as folder:
            pruning = Pruning.planned(loaded.checkpoint, opened)
            with drafted(Path(folder) / "pruned", pruning.bytes) as draft:
                pruning.write(draft.folder)
                model: Any = AutoModelForCausalLM.from_pretrained(draft.folder, dtype=DTYPES[loaded.dtype])
            pruned = _samples(model.to(loaded.device).eval(), loaded, tasks)
        rows += [row for task in dense for row in _rows(name, task, dense[task], pruned[task], tasks.column)]
    return rows


def _samples(model: Any, loaded: LoadedModel, tasks: HarnessTasks) -> dict[str, list[dict[str, Any]]]:
    """Task -> its logged samples, in the order of its documents."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    with _one_line(tasks):
        found = simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=loaded.tokenizer, batch_size=8),
            tasks=list(tasks.names),
            task_manager=task_manager(tasks.folder),
            limit=tasks.limit,
            log_samples=True,
            bootstrap_iters=0,
        )
    assert found is not None
    return {task: sorted(rows, key=lambda row: row["doc_id"]) for task, rows in found["samples"].items()}


def _by_filter(samples: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """A task may read an answer in several ways, and logs every document once for each."""
    found: dict[str, list[dict[str, Any]]] = {}
    for sample in samples:
        found.setdefault(str(sample.get("filter", "none")), []).append(sample)
    return found


def _rows(
    pattern: str, task: str, dense: Sequence[dict[str, Any]], pruned: Sequence[dict[str, Any]], column: str | None
) -> list[HarnessRow]:
    filters = _by_filter(dense)
    groups = _groups(task, next(iter(filters.values())), column)
    rows = []
    others = _by_filter(pruned)
    for read, metric in [(read, metric) for read, logged in filters.items() for metric in _metrics(logged)]:
        both = (filters[read], others[read])
        before, after = (np.array([float(sample[metric]) for sample in one]) for one in both)
        said = metric if len(filters) == 1 else f"{metric}, {read}"
        whole, *parts = [
            _row((pattern, task, said), group, label, before[mine], after[mine])
            for group, (label, mine) in groups.items()
        ]
        judgements = iter(worse([(row.lost, row.won) for row in parts if row.lost is not None and row.won is not None]))
        rows.append(whole)
        for row in parts:
            p_holm, is_worse = (None, None) if row.p is None else next(judgements)
            rows.append(row.model_copy(update={"p_holm": p_holm, "worse": is_worse}))
    return rows


def _metrics(samples: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those that are a share a sample; what only means something over all, such as a perplexity, is left out."""

    def share(value: Any) -> bool:
        return isinstance(value, int | float) and 0 <= value <= 1

    return [name for name in samples[0].get("metrics", []) if all(share(sample.get(name)) for sample in samples)]


def _row(key: tuple[str, str, str], group: str, label: str, before: np.ndarray, after: np.ndarray) -> HarnessRow:
    pattern, task, metric = key
    rng = np.random.default_rng([SEED, *task.encode(), *group.encode()])
    draws = rng.integers(len(before), size=(RESAMPLES, len(before)))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile((after - before)[draws].mean(axis=1), [tail, 1 - tail]).tolist()
    binary = bool(np.isin(np.concatenate([before, after]), (0.0, 1.0)).all())
    lost, won = (int(((before == 1) & (after == 0)).sum()), int(((before == 0) & (after == 1)).sum()))
    return HarnessRow(
        pattern=pattern,
        task=task,
        metric=metric,
        group=group,
        label=label,
        n=len(before),
        dense=float(before.mean()),
        pruned=float(after.mean()),
        low=low if len(before) > 1 else None,
        high=high if len(before) > 1 else None,
        lost=lost if binary else None,
        won=won if binary else None,
        p=mcnemar(lost, won) if binary else None,
    )


def _groups(task: str, samples: Sequence[dict[str, Any]], column: str | None) -> dict[str, tuple[str, list[int]]]:
    """Group -> what a person reads, and its samples; all of them first."""
    groups = {ALL: (task, list(range(len(samples))))}
    passages = [Passage.of(task, f"{i}", text=_words(sample["doc"])) for i, sample in enumerate(samples)]
    vectors = EMBEDDERS["lexical"]("", SEED).embed(passages)
    if column is None:
        clustering = cluster_domain(task, vectors, "auto", SEED)
    else:
        clustering = given_clusters(vectors, [str(sample["doc"][column]) for sample in samples])
    for cluster, name in enumerate(names_of(clustering, [passage.plain for passage in passages])):
        mine = np.flatnonzero(clustering.labels == cluster).tolist()
        group = Group(task, cluster, name, unseen=False)
        groups[group.key] = (group.label, mine)
    return groups


def _words(doc: Mapping[str, Any]) -> str:
    """The text of a document, field after field."""
    return " ".join(str(value) for value in doc.values() if isinstance(value, str)) or str(dict(doc))
